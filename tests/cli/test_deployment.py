"""What Procfile and docker-compose.yml start does start, and is healthy [O30]."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from stepflow.embedded.launch import _find_binary
from tests.cli.conftest import ROOT
from tests.ports import free_port
from tests.support import until_blocking

#: real processes, seconds each
pytestmark = pytest.mark.crash

PROCFILE = dict(line.split(": ", 1) for line in (ROOT / "Procfile").read_text().splitlines())
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())[
    "services"
]
#: what a process has logged or printed once it is ready
READY = {
    "redis": "Ready to accept connections", "worker": "listens to default",
    "research": "listens to research", "web": "listens at", "receiver": "listening on",
}  # fmt: skip
#: services that run once, and need what a test has not: packages from an index; words to say
NOT_STARTED = {"install", "cli"}


def command_of(service: str) -> str:
    """The command of a compose service, as its container runs it."""
    return SERVICES[service]["command"].replace("$$", "$")


def environment_of(service: str) -> dict[str, str]:
    """Its environment, each variable with its default."""
    given = SERVICES[service].get("environment", {})
    return {name: re.sub(r"\$\{\w+:-(.*)\}", r"\1", value) for name, value in given.items()}


class Deployed:
    """A command of a deployment file as a process, on ports and in folders of the test's own."""

    def __init__(self, line: str, folder: Path, env: dict[str, str]) -> None:
        self.port = str(free_port())
        self.env = env
        line = line.replace("--port 8170", f"--port {self.port}")
        line = line.replace("--port 6379 ", "").replace("/tmp/", f"{folder}/")
        if line.startswith("redis-server "):
            path = shlex.quote(_find_binary()[0])
            line = f"{path} --port {self.port} --dir {folder} {line.removeprefix('redis-server ')}"
        self.log = folder / "log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                ["sh", "-c", f"exec {line}"], cwd=ROOT, env={**env, "PORT": self.port}, stdout=log,
                stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip

    def wait_for(self, words: str) -> None:
        """Wait until it has said this."""

        def said() -> bool:
            assert self.process.poll() is None, self.log.read_text()
            return words in self.log.read_text()

        until_blocking(said, words)

    def end(self) -> int:
        """Tell it to leave, and give its exit code."""
        os.killpg(self.process.pid, signal.SIGTERM)
        return self.process.wait(timeout=60)


Deploy = Callable[..., Deployed]


@pytest.fixture
def deploy(url: str, bare_env: dict[str, str], tmp_path: Path) -> Iterator[Deploy]:
    """Start a command on the test's server; what still runs at the end is killed."""
    started: list[Deployed] = []

    def start(line: str, **environment: str) -> Deployed:
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        ours = {"PATH": path, "STEPFLOW_REDIS_URL": url}
        started.append(Deployed(line, tmp_path, {**bare_env, **environment, **ours}))
        return started[-1]

    yield start
    for each in started:
        if each.process.poll() is None:
            os.killpg(each.process.pid, signal.SIGKILL)
            each.process.wait()


@pytest.mark.parametrize("name", PROCFILE)
def test_each_process_of_the_procfile_starts_and_leaves(deploy, name):
    process = deploy(PROCFILE[name])
    process.wait_for(READY[name])
    assert process.end() == 0, process.log.read_text()


@pytest.mark.parametrize("name", sorted(SERVICES.keys() - NOT_STARTED))
def test_each_service_of_the_compose_file_starts_and_is_healthy(deploy, name):
    process = deploy(command_of(name), **environment_of(name))
    process.wait_for(READY[name])
    check = SERVICES[name].get("healthcheck", {}).get("test")
    if check is None or name == "redis":  # its check is a program that Redis brings along
        return
    assert check[:2] == ["CMD", "stepflow"]
    words = [*check[1:], *([f"http://127.0.0.1:{process.port}"] if name == "web" else [])]
    until_blocking(lambda: subprocess.run(words, check=False, env=process.env).returncode == 0)
    assert process.end() == 0, process.log.read_text()


def test_both_files_start_the_same_workers_on_a_redis_that_keeps_its_data():
    commands = [[command_of(name) for name in SERVICES if "command" in SERVICES[name]]]
    commands.append(list(PROCFILE.values()))
    workers = [sorted(line for line in lines if "stepflow worker" in line) for lines in commands]
    assert workers[0] == workers[1]
    assert len(workers[0]) == 2
    for line in (PROCFILE["redis"], command_of("redis")):
        assert "--appendonly yes --appendfsync everysec" in line
        assert "--maxmemory-policy noeviction" in line


def test_the_deployed_apps_load(program):
    for target in ("workers.default:app", "workers.research:app"):
        assert program("worker", target, "--burst").returncode == 0
