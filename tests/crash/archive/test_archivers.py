"""The process that archives beside a worker: it is killed, it outlives nobody, bursts wait."""

from __future__ import annotations

import contextlib
import os
import signal
from collections import Counter
from pathlib import Path

import pytest

from stepflow import RunSpec
from stepflow.archive.archive import Archive
from stepflow.settings import ArchiveSettings
from tests.crash.support.waiting import until

pytestmark = pytest.mark.crash

APP = "tests.crash.archive.app:app"


@pytest.fixture
def archive(tmp_path):
    with Archive(ArchiveSettings(url=f"sqlite:///{tmp_path}/archive.db")) as archive:
        yield archive


@pytest.fixture
def cluster(make_cluster, archive):
    return make_cluster(STEPFLOW_ARCHIVE_URL=archive.settings.url)


def submit(cluster, count):
    specs = [RunSpec("count", number) for number in range(count)]
    return [run.id for run in cluster.client.submit_many(specs)]


def archived(archive):
    return Counter(run.id for page in archive.every() for run in page.runs)


def archivers(worker):
    """The pids of the processes that archive beside a worker, or beside its supervisor."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = (folder / "stat").read_text().rpartition(")")[2].split()[1]
            command = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:  # it has ended
            continue
        if int(parent) == worker.popen.pid and b"--beside" in command:
            found.append(int(folder.name))
    return found


def is_gone(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return True
    return state == "Z"


def test_an_archiver_that_is_killed_has_a_successor_and_each_end_counts_once(cluster, archive):
    """[H2]"""
    worker = cluster.spawn("stepflow", "worker", APP)
    worker.has_said("listens to")
    killed, submitted = set(), []
    for _ in range(3):
        submitted += submit(cluster, 40)
        [pid] = until(lambda: set(archivers(worker)) - killed, what="an archiver")
        until(lambda: archived(archive).total() > len(killed) * 40, what="an end in the archive")
        os.kill(pid, signal.SIGKILL)
        killed.add(pid)
    redis = cluster.server.client
    for note in redis.zrange("stepflow:to_archive", 0, -1):  # what the dead had taken comes again
        redis.zadd("stepflow:to_archive", {note: 1})
    until(lambda: archived(archive).total() >= len(submitted), what="all ends")
    until(lambda: not redis.zcard("stepflow:to_archive"), what="no notes any more")
    assert archived(archive) == Counter(dict.fromkeys(submitted, 1))
    assert worker.is_alive


@pytest.mark.parametrize("is_forked", [False, True])
def test_the_archiver_of_a_worker_that_is_killed_is_gone_soon(cluster, archive, is_forked):
    """Also while a process that user code has forked off has all the worker had."""
    worker = cluster.spawn("stepflow", "worker", APP)
    worker.has_said("listens to")
    [pid] = until(lambda: archivers(worker), what="an archiver")
    if is_forked:
        cluster.client.submit("forks", 60.0, run_id="f1")
        cluster.all_ended(["f1"])
    worker.kill()
    until(lambda: is_gone(pid), what="the end of the archiver")
    with contextlib.suppress(ProcessLookupError):
        os.killpg(worker.popen.pid, signal.SIGKILL)


def test_a_supervisor_has_one_archiver_which_leaves_with_it(cluster, archive):
    supervisor = cluster.spawn("stepflow", "worker", APP, "--processes", "2")
    submitted = submit(cluster, 20)
    until(lambda: archived(archive).total() == len(submitted), what="all ends")
    [pid] = archivers(supervisor)
    os.killpg(supervisor.popen.pid, signal.SIGTERM)
    assert supervisor.wait() == 0
    assert is_gone(pid)
    assert "archives ended" not in supervisor.said


def test_a_burst_leaves_when_what_has_ended_is_archived(cluster, archive):
    """[H2]"""
    submitted = submit(cluster, 250)
    worker = cluster.spawn("stepflow", "worker", APP, "--burst")
    assert worker.wait() == 0
    assert archived(archive) == Counter(dict.fromkeys(submitted, 1))


def test_one_that_stands_by_itself_archives_for_workers_that_do_not(cluster, archive):
    submitted = submit(cluster, 20)
    worker = cluster.spawn("stepflow", "worker", APP, STEPFLOW_ARCHIVE_PROCESSES=0)
    cluster.all_ended(submitted)
    assert not archivers(worker)
    assert cluster.server.client.zcard("stepflow:to_archive") == 20
    archiver = cluster.spawn("stepflow", "archive", "work", "--burst")
    assert archiver.wait() == 0
    assert archived(archive) == Counter(dict.fromkeys(submitted, 1))
    lasting = cluster.spawn("stepflow", "archive", "work")
    submitted += submit(cluster, 5)
    until(lambda: archived(archive).total() == len(submitted), what="all ends")
    lasting.send(signal.SIGTERM)
    assert lasting.wait() == 0
