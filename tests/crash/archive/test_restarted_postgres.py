"""
Ends of runs are archived while PostgreSQL crashes and comes back, and a worker is killed.

TESTS_ARCHIVED=100000 TESTS_ARCHIVE_RESTARTS=10 is the long version.
"""

from __future__ import annotations

import os
from collections import Counter

import pytest

from stepflow import RunSpec
from stepflow.archive.archive import Archive
from stepflow.settings import ArchiveSettings
from tests.crash.support.waiting import until
from tests.postgres import postgres

pytestmark = pytest.mark.crash

APP = ("--app", "tests.crash.archive.app:app")
RUNS = int(os.environ.get("TESTS_ARCHIVED", "240"))
RESTARTS = int(os.environ.get("TESTS_ARCHIVE_RESTARTS", "3"))
PATIENCE_S = 60 + RUNS / 50


def test_each_end_is_archived_once_though_postgres_crashes_and_a_worker_is_killed(make_cluster):
    """[H2]"""
    with postgres() as server:
        cluster = make_cluster(
            STEPFLOW_ARCHIVE_URL=server.url, STEPFLOW_ARCHIVE_RETRY_MOST_S=1,
            STEPFLOW_RETENTION_RESULT_S=3600,
        )  # fmt: skip
        # one archives in a thread, one has a process beside it
        workers = [
            cluster.worker(*APP, ready=False), cluster.spawn("stepflow", "worker", APP[1]),
        ]  # fmt: skip
        for worker in workers:
            worker.has_said("listens to")
        submitted: list[str] = []

        def submit(count):
            specs = [RunSpec("count", number) for number in range(count)]
            submitted.extend(run.id for run in cluster.client.submit_many(specs))

        with Archive(ArchiveSettings(url=server.url)) as archive:
            for number in range(RESTARTS):
                before = archive.health().runs
                submit(RUNS // RESTARTS // 2)
                until(
                    lambda before=before: archive.health().runs > before,
                    what="an end in the archive",
                )  # fmt: skip
                server.stop("immediate")
                if number == 0:
                    workers[0].kill()
                submit(RUNS // RESTARTS // 2)
                cluster.all_ended(submitted)  # steps go on
                server.start()
            until(
                lambda: archive.health().runs == len(submitted),
                what="all ends",
            )  # fmt: skip
            pages = archive.every()
            found = Counter(run.id for page in pages for run in page.runs)
        redis = cluster.server.client
        until(
            lambda: not redis.zcard("stepflow:hooks:live") and not redis.zcard("stepflow:claims"),
            what="every delivery is settled",
        )  # fmt: skip
        assert found == Counter(dict.fromkeys(submitted, 1))
        assert not redis.zcard("stepflow:hooks:dead")
        assert 0 < redis.ttl(f"stepflow:run:{submitted[0]}") <= 3600
