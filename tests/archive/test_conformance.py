"""[H8] What every archive does, whatever database it is: memory, SQLite, PostgreSQL."""

from __future__ import annotations

import os
import threading
from datetime import timedelta

import pytest

from stepflow.archive import schema
from stepflow.archive.migrate import VERSION
from stepflow.archive.rows import microseconds
from stepflow.archive.values import ArchivedStep
from stepflow.archive.where import Where
from stepflow.errors import (
    ArchiveMisconfigured,
    InvalidOption,
    NotArchived,
    UnreadableArchive,
)
from tests.archive.conftest import BEGAN, FAILED, end


def ids(page):
    return [run.id for run in page.runs]


def test_what_is_archived_is_read_back_as_it_was(archive):
    """[H2]"""
    given = end(
        "a1", state="failed", error=FAILED, headers={"tenant": "acme"}, tags={"kind": "x"},
        payload={"n": [1, None, "é\x00\ud800"]}, reason="why", parent="p", origin="o", group="g",
        schedule="s", generation=2, end=3, version=4, queue="fast", step=5, attempts=6,
        steps=[ArchivedStep("step", "load", "failed", 2, BEGAN, BEGAN, 0.5, "w", "E: no", [1])],
    )  # fmt: skip
    assert archive.write([given]) == 1
    found = archive.get("a1")
    assert found.number > 0
    assert {name: getattr(found, name) for name in found.__slots__ if name != "number"} == {
        name: getattr(given.run, name) for name in found.__slots__ if name != "number"
    }
    assert archive.steps(found) == given.steps
    assert archive.document(found) == given.document
    assert found.took_s == 1.0


def test_text_that_a_database_would_refuse_is_escaped(archive):
    archive.write([end("a1", reason="a\x00b\ud800", headers={"n": "\x00"})])
    assert archive.get("a1").reason == "a\\x00b\\ud800"
    assert archive.get("a1").headers == {"n": "\x00"}


def test_an_end_counts_once_however_often_it_comes(archive):
    """[H2]"""
    assert archive.write([end("a1"), end("a2"), end("a1")]) == 2
    assert archive.write([end("a2", result="other"), end("a3")]) == 1
    assert ids(archive.list()) == ["a3", "a2", "a1"]
    assert archive.get("a2").result is None
    assert len(archive.steps(archive.get("a2"))) == 1


def test_every_end_of_a_run_counts_and_so_does_its_id_when_it_is_used_again(archive):
    """[H2]"""
    ends = [end("a1", end=1), end("a1", end=2), end("a1", generation=1), end("a1", minute=9)]
    assert archive.write(ends) == 4
    assert archive.get("a1").created_at == ends[3].run.created_at
    assert archive.get("a1", generation=1).generation == 1
    assert archive.get("a1", end=2).end == 2


def test_two_workers_archive_one_end_and_there_is_one_row(make_archive):
    """[H6]"""
    archives = [make_archive(), make_archive()]
    archives[0].health()
    new = []

    def write(archive):
        given = [end(f"r{n}") for n in range(30)]
        new.append(archive.write(given if archive is archives[0] else given[::-1]))

    threads = [threading.Thread(target=write, args=[archive]) for archive in archives]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if archives[0].url.endswith("://"):  # of memory each has its own
        assert new == [30, 30]
        return
    assert sum(new) == 30
    assert len(archives[1].list().runs) == 30


def test_two_name_spaces_share_a_database_and_no_run(make_archive):
    one, other = make_archive("one"), make_archive("other")
    one.write([end("a1")])
    assert ids(other.list()) == []
    with pytest.raises(NotArchived, match="no run 'a1'"):
        other.get("a1")


def test_the_whole_batch_is_written_or_nothing(archive):
    broken = end("a2", steps=[ArchivedStep("step", "x", None)])  # a state is never missing
    with pytest.raises(Exception, match="refuses what is to be written"):
        archive.write([end("a1"), broken])
    assert ids(archive.list()) == []


#: conditions, and the runs that meet them
FOUND = [
    ({}, "dcba"),
    ({"state": "failed"}, "b"),
    ({"runner": "etl"}, "cba"),
    ({"version": 2}, "c"),
    ({"parent": "b"}, "c"),
    ({"is_root": True}, "dba"),
    ({"headers": {"tenant": "acme"}}, "ca"),
    ({"headers": {"tenant": "acme", "x": "1"}}, "c"),
    ({"headers": {"x": "tenant"}}, ""),
    ({"tags": {"kind": "big"}}, "d"),
    ({"since": BEGAN + timedelta(minutes=2)}, "dc"),
    ({"until": BEGAN + timedelta(minutes=2)}, "ba"),
    ({"error": "BANK did"}, "b"),
    ({"error": "timeouterror"}, "b"),
    ({"error": "5 %"}, "b"),
    ({"error": "5_%"}, ""),
    ({"longer_than_s": 10}, "c"),
    ({"shorter_than_s": 10, "runner": "etl"}, "ba"),
    ({"run_id": "d"}, "d"),
    ({"queue": "slow"}, "d"),
]
#: the same for conditions in words; numbers of any size are none that a database stumbles over
FOUND_BY_WORDS = [
    ("version=2", "c"),
    ("version=\u00b2", ""),
    ("version=" + "9" * 5000, ""),
    ("older=" + "9" * 30 + "d", ""),
    ("older=" + "9" * 400 + "d", ""),
    ("since=" + "9" * 400 + "d", "dcba"),
]


def test_runs_are_found_by_each_condition(archive):
    """[H5]"""
    archive.write(
        [
            end("a", headers={"tenant": "acme"}),
            end("b", minute=1, state="failed", error=FAILED),
            end("c", minute=2, version=2, parent="b", headers={"tenant": "acme", "x": "1"},
                took_s=20),
            end("d", minute=3, runner="other", tags={"kind": "big"}, queue="slow"),
        ]
    )  # fmt: skip
    assert [(where, "".join(ids(archive.list(Where(**where))))) for where, _ in FOUND] == FOUND
    now = BEGAN.timestamp() + 3600
    assert [
        (words, "".join(ids(archive.list(Where().reading(words, now)))))
        for words, _ in FOUND_BY_WORDS
    ] == FOUND_BY_WORDS


def test_pages_follow_each_other_though_runs_end_at_the_same_time_and_more_come(archive):
    """[H5]"""
    archive.write([end(f"r{n}") for n in range(5)])
    first = archive.list(limit=2)
    archive.write([end("late", minute=5)])
    second = archive.list(limit=2, cursor=first.cursor)
    third = archive.list(limit=2, cursor=second.cursor)
    assert [ids(first), ids(second), ids(third)] == [["r4", "r3"], ["r2", "r1"], ["r0"]]
    assert third.cursor is None
    assert sum(len(page.runs) for page in archive.every(page=2)) == 6


def test_a_row_that_cannot_be_read_is_left_out_and_named(archive):
    """[H5]"""
    archive.write([end(f"r{n}", minute=n) for n in range(3)])
    with archive._database.writing() as sql:
        sql.execute(schema.runs.update().where(schema.runs.c.run_id == "r1").values(headers="{"))
        sql.execute(schema.runs.update().where(schema.runs.c.run_id == "r2").values(headers="7"))
        sql.execute(schema.documents.update().values(document="{"))
    page = archive.list()
    assert ids(page) == ["r0"]
    assert page.unreadable == ["'r2'", "'r1'"]
    with pytest.raises(UnreadableArchive, match="run 'r1' in the archive cannot be read"):
        archive.get("r1")
    with pytest.raises(UnreadableArchive):
        archive.document(page.runs[0])


def test_a_state_that_is_no_end_and_a_strange_cursor_are_refused(archive):
    with pytest.raises(InvalidOption, match="the archive holds ends"):
        Where(state="running")
    with pytest.raises(InvalidOption, match="cursor 'x'"):
        archive.list(cursor="x")


def test_retention_says_what_it_would_take_and_then_takes_that(archive, monkeypatch):
    """[H3]"""
    monkeypatch.setattr("stepflow.archive.archive.BATCH", 2)
    archive.write([end(f"r{n}", minute=n, state="failed" if n % 2 else "succeeded",
                       headers={"n": "1"}) for n in range(6)])  # fmt: skip
    archive.take(moment("r0"))
    archive.take(moment("r5"))
    now = BEGAN + timedelta(minutes=4, seconds=2)
    fits = archive.prune(timedelta(0), now=now, dry_run=True)
    assert (fits.runs, fits.states, fits.is_dry) == (5, {"failed": 2, "succeeded": 3}, True)
    assert (fits.oldest, fits.newest) == (
        BEGAN + timedelta(seconds=1), BEGAN + timedelta(minutes=4, seconds=1),
    )  # fmt: skip
    assert len(archive.list().runs) == 6
    assert archive.prune(timedelta(minutes=1), now=now, state="failed").runs == 2
    assert archive.prune(timedelta(0), now=now).runs == 3
    assert ids(archive.list()) == ["r5"]
    with archive._database.reading() as sql:  # it cascades
        for table in (schema.steps, schema.labels, schema.documents, schema.snapshots):
            assert (
                sql.execute(table.select()).rowcount or len(sql.execute(table.select()).all()) == 1
            )


def moment(run_id, rev=1, **facts):
    from stepflow.archive.snapshots import Moment

    values = {"created_us": 1, "generation": 0, "state": "running", "step": 0, "at": BEGAN}
    return Moment(run_id, "etl", rev=rev, **{**values, "document": {"rev": rev}, **facts})


def test_the_last_snapshots_of_a_run_are_kept(make_archive):
    """[H4]"""
    archive = make_archive(snapshots=3)
    numbers = [archive.take(moment("r1", rev, why="by hand")) for rev in range(5)]
    archive.take(moment("r2"))
    kept = archive.snapshots("r1")
    assert [each.number for each in kept] == numbers[:1:-1]
    assert archive.snapshot("r1")[1] == {"rev": 4}
    found, document = archive.snapshot("r1", numbers[2])
    assert (found.why, found.taken_at, document) == ("by hand", BEGAN, {"rev": 2})
    with pytest.raises(NotArchived, match="no snapshot 1 of run 'r3'"):
        archive.snapshot("r3", 1)
    with pytest.raises(NotArchived):
        archive.snapshot("r1", numbers[0])


def test_the_mirror_keeps_the_latest_of_a_run_until_it_ends(archive):
    archive.mirror([moment("r1", 3), moment("r2", 1)])
    archive.mirror([moment("r1", 2)])
    assert archive.mirrored("r1")[1] == {"rev": 3}
    archive.mirror([moment("r1", 1, created_us=2)])
    assert archive.mirrored("r1")[1] == {"rev": 1}
    archive.write([end("r1")])
    assert archive.mirrored("r1") is None
    assert archive.mirrored("r2") is not None


def test_a_mirrored_run_that_cannot_be_read_is_named(archive):
    """[H5]"""
    archive.mirror([moment("r1", 3)])
    with archive._database.writing() as sql:
        sql.execute(schema.live.update().values(document="{"))
    with pytest.raises(UnreadableArchive, match="the mirror of run 'r1'"):
        archive.mirrored("r1")


def test_the_mirror_forgets_by_the_last_of_two_ends_whatever_their_order(archive):
    later = end("r1", minute=2)
    archive.mirror([moment("r1", 1, created_us=microseconds(later.run.created_at))])
    archive.write([later, end("r1")])
    assert archive.mirrored("r1") is None


def test_a_forked_child_has_connections_of_its_own(archive, archive_url):
    """Two processes that speak over one connection read each other's answers."""
    archive.write([end("r1")])

    def connection() -> int:
        with archive._database.reading() as sql:
            return id(sql.connection.dbapi_connection)

    ours = connection()
    assert connection() == ours
    child = os.fork()
    if not child:
        code = 1
        try:
            is_own = archive_url == "memory://" or connection() != ours
            code = 0 if is_own and archive.get("r1").id == "r1" else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert connection() == ours
    assert archive.get("r1").id == "r1"


def test_the_tables_are_made_once_by_whoever_comes_first(make_archive):
    """[H1]"""
    archives = [make_archive() for _ in range(4)]
    with archives[0]._database._begun() as sql:
        schema.metadata.drop_all(sql)
    failed = []

    def look(archive):
        try:
            assert archive.health().schema == VERSION
        except Exception as error:  # noqa: BLE001
            failed.append(error)

    threads = [threading.Thread(target=look, args=[archive]) for archive in archives]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []


def test_tables_of_the_version_before_are_brought_up_to_date_with_what_they_hold(make_archive):
    """[H1]"""
    archive = make_archive()
    archive.write([end("a1")])
    with archive._database.writing() as sql:
        schema.live.drop(sql)
        sql.execute(schema.schema.update().values(version=1))
    archive._database._is_ready = False
    assert archive.health().schema == VERSION
    archive.mirror([moment("r1")])
    assert ids(archive.list()) == ["a1"]


def test_tables_of_a_later_version_are_refused_in_words(archive):
    """[H1]"""
    archive.health()
    with archive._database.writing() as sql:
        sql.execute(schema.schema.update().values(version=VERSION + 1))
    archive._database._is_ready = False
    with pytest.raises(ArchiveMisconfigured, match="upgrade stepflow here"):
        archive.list()


def test_health_says_what_is_there(archive):
    """[H6]"""
    archive.write([end("a1")])
    found = archive.health()
    assert (found.schema, found.known, found.runs) == (VERSION, VERSION, 1)
    archive.ping()
