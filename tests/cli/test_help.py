import subprocess
import sys

import pytest
from click.testing import CliRunner

from stepflow.cli.main import VERBS, cli
from tests.cli.conftest import ROOT

HEAVY = "redis rq pydantic rich msgpack httpx tenacity asyncio"


def test_help_loads_nothing_that_takes_its_time():
    code = (
        "import sys\nfrom stepflow.cli import main\nsys.argv = ['stepflow', '--help']\n"
        f"try: main()\nexcept SystemExit: print([name for name in {HEAVY!r}.split() if name in "
        "sys.modules])"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    ).stdout
    assert shown.splitlines()[-1] == "[]"
    assert "Exit codes: 0 ok" in shown


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself_and_takes_the_common_options(verb):
    result = CliRunner().invoke(cli, [verb, "--help"])
    assert result.exit_code == 0
    for option in ("--json", "--redis-url", "--app", "--namespace"):
        assert option in result.output


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_the_script_of_each_shell(shell):
    result = CliRunner().invoke(cli, ["completion", shell])
    assert result.exit_code == 0
    assert "_STEPFLOW_COMPLETE" in result.output


def test_an_unknown_verb_is_a_usage_error():
    result = CliRunner().invoke(cli, ["frobnicate"])
    assert result.exit_code == 2
    assert "No such command 'frobnicate'" in result.output
