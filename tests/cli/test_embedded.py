import json
import os
import pty
import subprocess
import sys

import pytest
from click.testing import CliRunner

from stepflow import Client, embedded
from stepflow.cli.main import cli
from stepflow.settings import load_settings

LOOKS = [
    "show a1", "list", "watch a1", "result a1", "workers", "queues", "questions", "hooks list",
    "export a1",
]  # fmt: skip


def test_a_server_that_nobody_asked_for_starts_with_a_warning(start, folder):
    """[U3] It names the folder and the variable."""
    process = start("submit", "etl", "--id", "a1")
    out, err = process.communicate()
    assert out == "a1\n"
    (line,) = err.splitlines()
    assert line.startswith("STEPFLOW_REDIS_URL is not set: started ")
    assert str(folder / ".stepflow") in line
    later = start("submit", "etl", "--id", "a1", STEPFLOW_EMBEDDED="1")
    assert later.communicate()[1].splitlines()[1] == "run a1 was there already"


def test_a_server_that_was_asked_for_starts_with_one_line(start, folder):
    """[U3]"""
    out, err = start("submit", "etl", "--id", "a1", STEPFLOW_EMBEDDED="1").communicate()
    assert (out, len(err.splitlines())) == ("a1\n", 1)
    assert err.startswith("embedded ")
    assert str(folder / ".stepflow") in err


@pytest.mark.crash
def test_at_a_terminal_it_starts_without_a_warning(folder, bare_env):
    """[U3]"""
    controller, terminal = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "stepflow", "submit", "etl", "--id", "a1"], cwd=folder,
        env=bare_env, text=True, stdin=terminal, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    out, err = process.communicate(timeout=60)
    os.close(controller)
    os.close(terminal)
    assert (out, err.split()[0]) == ("a1\n", "embedded")


def test_a_program_that_starts_one_is_warned_in_its_log(folder, bare_env):
    """[U3] A web process in a container that was given no URL."""
    code = "from stepflow import Client\nwith Client() as client: client.submit('x')"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=bare_env, text=True, check=True,
        stdin=subprocess.DEVNULL, capture_output=True,
    )  # fmt: skip
    assert "STEPFLOW_REDIS_URL" in done.stderr
    assert str(folder / ".stepflow") in done.stderr


def test_a_server_that_is_forbidden_does_not_start(start, folder):
    """[U3]"""
    process = start("submit", "etl", STEPFLOW_EMBEDDED="0")
    out, err = process.communicate()
    assert (out, process.returncode) == ("", 7)
    assert "STEPFLOW_EMBEDDED=0 forbids" in err
    assert not (folder / ".stepflow").exists()


@pytest.mark.parametrize("verb", LOOKS)
def test_a_verb_that_only_looks_starts_no_server(folder, monkeypatch, verb):
    """[U3]"""
    monkeypatch.chdir(folder)
    for name in ("STEPFLOW_REDIS_URL", "REDIS_URL"):
        monkeypatch.delenv(name, raising=False)
    load_settings.cache_clear()
    result = CliRunner().invoke(cli, verb.split())
    load_settings.cache_clear()
    assert result.exit_code == 7
    assert "no server runs here; STEPFLOW_REDIS_URL is not set" in result.stderr
    assert not (folder / ".stepflow").exists()


def test_a_verb_that_only_looks_joins_a_server_that_runs(start, folder):
    """[U3]"""
    home = folder / ".stepflow"
    try:
        with Client(embedded.ensure(home).url) as client:
            client.submit("etl", run_id="a1")
        listed = start("list", "--json").communicate()[0]
    finally:
        embedded.release(home)
    assert [run["id"] for run in json.loads(listed)["runs"]] == ["a1"]


def test_redis_status_url_and_stop_look_after_it(start, folder):
    before = start("redis", "status")
    assert "does not run" in before.communicate()[0]
    assert before.returncode == 7
    server = embedded.ensure(folder / ".stepflow")
    try:
        assert start("redis", "url").communicate()[0].strip() == server.url
        status = start("redis", "status", "--json")
        assert json.loads(status.communicate()[0])["running"] is True
        assert start("redis", "stop").communicate()[0] == "stopped\n"
        assert embedded.status(folder / ".stepflow") is None
    finally:
        embedded.release(folder / ".stepflow")
