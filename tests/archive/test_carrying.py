"""Ends wait as notes, one command each, and are carried into the archive once, whoever dies."""

from __future__ import annotations

import base64
import time
from datetime import UTC, datetime

import pytest

from stepflow.archive import rows
from stepflow.archive.archive import Archive
from stepflow.core.outcomes import ErrorInfo
from stepflow.core.run import RunOutcome
from stepflow.engine.doctor.model import Level
from stepflow.engine.doctor.server import look_at_server
from stepflow.engine.hooks.ended import note_of_outcome, read_note
from stepflow.engine.outbox import pack_outcome
from stepflow.errors import ArchiveUnreachable, NotDeletable, RedisUnreachable, UnreadableValue
from stepflow.settings import ArchiveSettings
from stepflow.store.calls import Call
from stepflow.store.connection.sync import carry_out
from stepflow.store.hooks import load_hook, save_app_hooks
from stepflow.store.runs.to_archive import (
    count_ends,
    ends_key,
    leave_end,
    oldest_end,
    take_ends,
)
from stepflow.store.values.codec import pack
from stepflow.worker.archiving.carry import UNREADABLE_S, Carrier
from tests.limits.test_orderings import Altered
from tests.support import loaded

#: a note as the first version that had any wrote it: of a failed run with headers
FIRST = (
    "naFho2V0bKZmYWlsZWQEBQIDy0HaVW5AB+a0y0HaVW5AQAAEy0HaVW5AgAAAgaZ0ZW5hbnSkYWNtZZSlZXJyb3LEGZ"
    "OqVmFsdWVFcnJvcqJub6lUcmFjZWJhY2urdW5kb19lcnJvcnPEDpGTqEtleUVycm9yoXigp2J5IGhhbmQ="
)


@pytest.fixture
def archived(tmp_path):
    with Archive(ArchiveSettings(url=f"sqlite:///{tmp_path}/archive.db")) as archive:
        yield archive


@pytest.fixture
def carrier(archived, client, link_to_real, real):
    """What carries the ends of runs of `etl`, whose app has an archive."""
    hooks = pack([["archive", ""]], in_clear=True)
    link_to_real.call(save_app_hooks(client.env.keys, ["etl", hooks]))
    made = Carrier(client.env, link_to_real, archived.settings)
    yield made
    made.close()


def end(client, *run_ids):
    for run_id in run_ids:
        client.submit("etl", run_id, run_id=run_id)
        client.fail(run_id, "no")


def ids(archive):
    return sorted(run.id for run in archive.list().runs)


def waiting(link, keys):
    return link.call(count_ends(keys))


def test_an_end_is_noted_with_one_command_and_taken_away_when_it_is_archived(
    carrier, archived, client, link_to_real, real, keys
):
    """[H2]"""
    client.submit("etl", 1, run_id="plain")
    before = real.info("commandstats")
    client.fail("plain", "no")
    after = real.info("commandstats")
    spent = {name: after[name]["calls"] - before.get(name, {"calls": 0})["calls"] for name in after}
    assert spent["cmdstat_zadd"] == 4  # two indexes, when it expires, and the note
    assert not list(real.scan_iter("stepflow:hook*"))
    assert carrier.carry() == 1
    assert ids(archived) == ["plain"]
    assert waiting(link_to_real, keys) == 0
    assert real.hget("stepflow:run:plain", "to_archive") is None
    assert carrier.carry() == 0


def test_ends_that_one_has_taken_nobody_else_gets_until_its_time_is_over(link_to_real, keys):
    for number in range(3):
        link_to_real.call(leave_end(keys, b"%d" % number, ended_at=100.0 + number))
    assert link_to_real.call(oldest_end(keys)) == 100
    assert link_to_real.call(take_ends(keys, now=200, lease_s=10, limit=2)) == [b"0", b"1"]
    assert link_to_real.call(take_ends(keys, now=209, lease_s=10, limit=2)) == [b"2"]
    assert link_to_real.call(take_ends(keys, now=209, lease_s=10, limit=2)) == []
    assert link_to_real.call(take_ends(keys, now=210, lease_s=10, limit=5)) == [b"0", b"1"]


def test_without_the_lease_two_get_the_same(link_to_real, keys):
    """[H2]"""
    altered = Altered(link_to_real, "redis.call('ZADD', ends_key, lease, note)", "local _ = 0")
    link_to_real.call(leave_end(keys, b"0", ended_at=100.0))
    assert altered.call(take_ends(keys, now=200, lease_s=10, limit=2)) == [b"0"]
    assert altered.call(take_ends(keys, now=200, lease_s=10, limit=2)) == [b"0"]


class DyingLink:
    """A link over which nothing comes any more, from a certain call on."""

    def __init__(self, link, name):
        self.link, self.name = link, name

    def call(self, call):
        return self.calls([call])[0]

    def calls(self, calls):
        if any(self.name in (call.name, str(call.parts[0])) for call in calls):
            raise RedisUnreachable("here", "killed")
        return self.link.calls(calls)


@pytest.mark.parametrize(("where", "written"), [("HGETALL", 0), ("release_run", 1), ("ZREM", 2)])
def test_one_that_dies_on_the_way_loses_nothing_and_doubles_nothing(
    carrier, archived, client, link_to_real, keys, real, where, written
):
    """[H2] It has taken an end, or written it, or let the run go as well."""
    end(client, "a1", "b2")
    dying = Carrier(client.env, DyingLink(link_to_real, where), archived.settings)
    with pytest.raises(RedisUnreachable, match="killed"):
        dying.carry()
    dying.close()
    assert len(archived.list().runs) == written
    assert carrier.carry() == 0
    assert waiting(link_to_real, keys) == 2
    for note in real.zrange(ends_key(keys), 0, -1):  # the time of the dead one is over
        real.zadd(ends_key(keys), {note: 1.0})
    assert carrier.carry() == 2
    assert ids(archived) == ["a1", "b2"]
    assert waiting(link_to_real, keys) == 0
    assert 0 < real.ttl("stepflow:run:a1") <= client.env.settings.retention.result_s


def test_what_an_archive_that_is_away_was_to_get_waits_in_its_old_place(
    carrier, archived, client, link_to_real, keys, monkeypatch
):
    """[H2]"""
    end(client, "a1")
    since = link_to_real.call(oldest_end(keys))
    away = [ArchiveUnreachable("sqlite", "gone")]

    def write(self, given):
        raise away[0]

    with monkeypatch.context() as patched:
        patched.setattr(Archive, "write", write)
        with pytest.raises(ArchiveUnreachable):
            carrier.carry()
    assert link_to_real.call(oldest_end(keys)) == pytest.approx(since, abs=1e-5)
    with pytest.raises(NotDeletable, match="still to be archived"):
        client.delete("a1")
    assert carrier.carry() == 1
    assert client.delete("a1")


def test_an_end_that_is_refused_is_left_to_the_schedule_of_hooks(
    carrier, archived, client, link_to_real, keys, monkeypatch
):
    """[H6]"""
    end(client, "even", "odd")
    row_of_run = rows.row_of_run
    monkeypatch.setattr(
        rows, "row_of_run",
        lambda namespace, run: row_of_run(namespace, run)
        | ({"state": None} if run.id == "odd" else {}),
    )  # fmt: skip
    assert carrier.carry() == 2
    assert ids(archived) == ["even"]
    assert waiting(link_to_real, keys) == 0
    hook = link_to_real.call(load_hook(keys, "odd-0-1-31"))
    assert (hook.runner, hook.state, hook.run_id) == (".archive", "pending", "odd")
    with pytest.raises(NotDeletable):
        client.delete("odd")


def test_an_end_that_nobody_can_write_down_stops_no_other(
    carrier, archived, client, link_to_real, keys, real, monkeypatch, caplog
):
    """[H6] Whatever it raises: its like is found with the first batch that has one."""
    end(client, "even", "odd", "rest")
    row_of_run = rows.row_of_run

    def failing(namespace, run):
        if run.id == "odd":
            raise RecursionError("too deep")
        return row_of_run(namespace, run)

    monkeypatch.setattr(rows, "row_of_run", failing)
    assert carrier.carry() == 3
    assert ids(archived) == ["even", "rest"]
    assert waiting(link_to_real, keys) == 0
    assert "run=odd cannot be archived: too deep" in caplog.text
    assert link_to_real.call(load_hook(keys, "odd-0-1-31")).state == "pending"
    real.flushall()


def test_a_full_database_blocks_no_step_and_loses_no_end(
    carrier, archived, client, link_to_real, keys
):
    """[H2]"""
    end(client, "a1")
    assert carrier.carry() == 1
    with carrier._archive._database.writing() as sql:
        [(pages,)] = sql.exec_driver_sql("PRAGMA page_count").all()
        sql.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
    client.submit("etl", "x" * 50_000, run_id="b2")
    client.fail("b2", "no")  # steps go on
    with pytest.raises(ArchiveUnreachable, match="full"):
        carrier.carry()
    assert waiting(link_to_real, keys) == 1
    assert ids(archived) == ["a1"]
    with carrier._archive._database.writing() as sql:
        sql.exec_driver_sql("PRAGMA max_page_count = 100000")
    assert carrier.carry() == 1
    assert ids(archived) == ["a1", "b2"]


def test_of_large_runs_few_are_read_at_once(
    carrier, archived, client, link_to_real, keys, monkeypatch
):
    """[H2] Else what archives would die of them, and its successors again."""
    monkeypatch.setattr("stepflow.worker.archiving.carry.MOST_BYTES", 100_000)
    for number in range(8):
        client.submit("etl", "x" * 40_000, run_id=f"r{number}")
        client.fail(f"r{number}", "no")
    end(client, "small")
    sizes = []
    write = Archive.write
    monkeypatch.setattr(
        Archive, "write", lambda self, ends: sizes.append(len(ends)) or write(self, ends)
    )
    assert carrier.carry() == 9
    assert sizes == [1, 2, 2, 2, 2]
    assert len(ids(archived)) == 9
    assert waiting(link_to_real, keys) == 0


def test_a_note_that_cannot_be_read_is_put_off_and_stops_no_other(
    carrier, archived, client, link_to_real, keys, real, caplog
):
    end(client, "a1")
    link_to_real.call(leave_end(keys, b"\xc1", ended_at=1.0))
    assert carrier.carry() == 2
    assert ids(archived) == ["a1"]
    assert "cannot be read" in caplog.text
    [(note, at)] = real.zrange(ends_key(keys), 0, -1, withscores=True)
    assert note == b"\xc1"
    assert at == pytest.approx(client.env.clock.now() + UNREADABLE_S, abs=60)
    real.delete(ends_key(keys))


def test_of_a_run_that_has_gone_on_the_note_says_how_it_had_ended(
    carrier, archived, client, link_to_real, keys, real
):
    """[H2]"""
    end(client, "a1")
    client.retry("a1")
    assert real.hget("stepflow:run:a1", "to_archive") == b""
    client.cancel("a1", "enough")
    assert carrier.carry() == 2
    first, second = archived.get("a1", end=1), archived.get("a1", end=2)
    assert (first.state, first.is_whole) == ("failed", False)
    assert first.error.message == "no"
    assert (second.state, second.is_whole, second.reason) == ("cancelled", True, "enough")


OUTCOME = RunOutcome(
    "a", "etl", "failed", error=ErrorInfo("ValueError", "no", "Traceback"), reason="by hand",
    headers={"tenant": "acme"}, final_step=2, attempts=3, generation=4, end=5,
    created_at=datetime(2026, 1, 1, 0, 0, 0, 123456, UTC),
    started_at=datetime(2026, 1, 1, 0, 0, 1, 1, UTC),
    ended_at=datetime(2026, 1, 1, 0, 0, 2, tzinfo=UTC),
    compensation_errors=[ErrorInfo("KeyError", "x", "")],
)  # fmt: skip


def test_a_note_says_what_hooks_are_told():
    assert read_note(note_of_outcome(OUTCOME)) == OUTCOME
    for other in (b"", b"\xc1", pack(1), pack([]), pack(["a"] * 13), pack_outcome(OUTCOME)):
        with pytest.raises(UnreadableValue):
            read_note(other)


def test_a_note_of_an_earlier_version_is_read():
    assert read_note(base64.b64decode(FIRST)) == OUTCOME


@pytest.mark.parametrize(
    ("ago_s", "level", "words"),
    [
        (-30, Level.NOTE, "1 end is being archived"),
        (5, Level.NOTE, "1 end waits to be archived, the oldest since"),
        (90, Level.BAD, "nothing archives them, or not as fast as they come"),
    ],
)
def test_the_doctor_says_how_long_ends_have_waited(
    client, link_to_real, keys, real, ago_s, level, words
):
    link_to_real.call(leave_end(keys, b"0", ended_at=time.time() - ago_s))
    lines = carry_out(link_to_real, look_at_server(client.env))
    [line] = [line for line in lines if line.what == "archive"]
    assert line.level is level
    assert words in line.sentence
    real.delete(ends_key(keys))


def test_a_worker_beside_which_is_archived_loads_nothing_that_speaks_sql():
    """[H2]"""
    assert "stepflow.archiver" in loaded()
    assert not {"sqlalchemy", "psycopg", "stepflow.archive.archive"} & loaded()


def test_calls_are_read_where_another_type_stands(link_to_real, keys, real):
    real.set(ends_key(keys), "x", ex=60)
    calls: list[Call] = [count_ends(keys), oldest_end(keys)]
    assert [link_to_real.call(call) for call in calls] == [0, 0.0]
