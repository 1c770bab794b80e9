import re
import shlex

import click
import pytest

from stepflow.cli.main import cli
from tests.cli.conftest import ROOT

PROCFILE = dict(line.split(": ", 1) for line in (ROOT / "Procfile").read_text().splitlines())
COMPOSE = re.findall(
    r"^    command: (.+)$", (ROOT / "docker-compose.yml").read_text(), re.MULTILINE
)
STEPFLOW = [
    shlex.split(line)[1:] for line in [*PROCFILE.values(), *COMPOSE] if line.startswith("stepflow ")
]


def parse(words):
    """Take a command line apart by the command line's own parser, down to the last verb."""
    command, context = cli, cli.make_context("stepflow", list(words), resilient_parsing=False)
    while isinstance(command, click.Group):
        name, command, rest = command.resolve_command(
            context, [*context._protected_args, *context.args]
        )
        context = command.make_context(name, rest, parent=context)
    return context


@pytest.mark.parametrize("words", STEPFLOW, ids=" ".join)
def test_every_command_of_the_deployment_files_is_one_of_ours(words):
    context = parse(words)
    assert context.info_name == "worker"
    module, _, name = context.params["app_path"].partition(":")
    assert (ROOT / f"{module.replace('.', '/')}.py").exists()
    assert name == "app"


def test_both_files_start_the_same_workers_on_a_redis_that_keeps_its_data():
    workers = [
        sorted(line for line in lines if "stepflow worker" in line)
        for lines in (PROCFILE.values(), COMPOSE)
    ]
    assert workers[0] == workers[1]
    assert len(workers[0]) == 2
    for line in (PROCFILE["redis"], COMPOSE[0]):
        assert "--appendonly yes --appendfsync everysec" in line
        assert "--maxmemory-policy noeviction" in line


def test_the_deployed_apps_load(program):
    for target in ("workers.default:app", "workers.research:app"):
        assert program("worker", target, "--burst").returncode == 0
