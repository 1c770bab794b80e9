import subprocess
import sys

import pytest
from click.testing import CliRunner

from stepflow.cli.main import OTHER_NAMES, PARTS, VERBS, cli
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


def test_every_verb_has_its_place_in_the_help():
    """[U21] And its first sentence is shown whole."""
    placed = " ".join(PARTS.values()).split()
    assert (set(VERBS) - set(placed), len(placed)) == (set(), len(set(placed)))
    shown = CliRunner().invoke(cli, ["--help"], terminal_width=200).output
    assert [line[:-1] for line in shown.splitlines() if line[:-1] in PARTS] == list(PARTS)
    assert "..." not in shown.split("Run:")[1].split("Exit codes")[0]


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("ls", "did you mean 'list'?"),
        ("status", "did you mean 'show'?"),
        ("sumbit", "did you mean 'submit'?"),
        ("workres", "did you mean 'workers'?"),
        ("frobnicate", "stepflow --help lists them"),
    ],
)
def test_an_unknown_verb_is_a_usage_error_that_names_the_nearest(given, meant):
    """[U21]"""
    result = CliRunner().invoke(cli, [given])
    assert result.exit_code == 2
    assert f"No such command {given!r}; {meant}" in result.output


def test_every_other_name_stands_for_a_verb_and_is_none():
    """[U21]"""
    assert set(OTHER_NAMES.values()) <= set(VERBS)
    assert not set(OTHER_NAMES) & set(VERBS)
