"""What a schedule's record holds is read by every later version: samples as they were stored."""

from stepflow.core.schedules.rules import CatchUp, Overlap, Rules
from stepflow.core.schedules.state import Firing, SchedulePause, ScheduleState
from stepflow.core.schedules.times import cron
from stepflow.engine.schedules.spec import ScheduleSpec, read_spec
from stepflow.store.schedules.record import (
    ScheduleRecord,
    read_firing,
    read_schedule,
    write_firing,
)
from stepflow.store.values.codec import pack

SPEC = pack(
    {
        "runner": "etl",
        "rules": {
            "times": {"cron": "0 2 * * *", "tz": "Europe/Berlin"},
            "jitter_s": 5.0,
            "overlap": "buffer_one",
            "catch_up": "all",
        },
        "payload": {"a": 1}, "queue": "night", "priority": "low", "timeout": 60.0,
        "headers": {"k": "v"}, "version": 2, "retry": None,
    },
    what="the sample",
)  # fmt: skip
#: the fields of a schedule, as the first version that had any wrote them
ROW = {
    b"rev": b"7", b"spec": SPEC, b"times": b"", b"app": b"1.2.3", b"kept": b"0", b"wakes": b"1",
    b"due": b"1800000005.000000", b"created": b"1790000000.000000",
    b"updated": b"1799999999.500000", b"through": b"1799990000.000000",
    b"last": b"s-20270115T052000Z", b"last_nominal": b"1799990000.000000", b"runs": b"12",
    b"buffer": b"1799990000 1799990010", b"pause": b"1799999999.000000|ada@host|a|note",
    b"judged": b"", b"blocked": b"", b"ended": b"", b"request": b"abc",
}  # fmt: skip


def test_a_stored_schedule_is_read():
    record = read_schedule("s", ROW)
    assert record == ScheduleRecord(
        "s", SPEC,
        ScheduleState(
            1799990000.0, "s-20270115T052000Z", 1799990000.0, 12, (1799990000.0, 1799990010.0),
            SchedulePause("ada@host", "a|note", 1799999999.0),
        ),
        rev=7, app="1.2.3", is_kept=False, wakes=True, due_at=1800000005.0,
        created_at=1790000000.0, updated_at=1799999999.5,
    )  # fmt: skip
    rules = Rules(
        cron("0 2 * * *", "Europe/Berlin"), 5.0, Overlap.BUFFER_ONE, CatchUp.ALL,
    )  # fmt: skip
    assert read_spec("s", record.spec) == ScheduleSpec(
        "s", "etl", rules, {"a": 1}, "night", "low", 60.0, {"k": "v"}, None, 2
    )


def test_it_is_written_as_it_was_stored():
    written = [str(part).encode() if not isinstance(part, bytes) else part
               for part in read_schedule("s", ROW).fields()]  # fmt: skip
    pairs = dict(zip(written[::2], written[1::2], strict=True))
    assert pairs == {name: value for name, value in ROW.items() if name != b"request"}


def test_what_cannot_be_read_is_named_and_the_rest_is_read():
    damaged = {**ROW, b"through": b"nan", b"buffer": b"x", b"pause": b"soon", b"spec": b""}
    record = read_schedule("s", damaged)
    assert {each.field for each in record.damage} == {"through", "buffer", "pause", "spec"}
    assert (record.rev, record.state.runs) == (7, 12)


def test_a_line_of_the_history_is_read_back():
    for line in (Firing(10.0, 10.5, "s-x"), Firing(10.0, 10.5, left="missed", count=3)):
        assert read_firing(write_firing(line)) == line
    assert read_firing(pack([10.0, 10.5, "s-x", "", 1])) == Firing(10.0, 10.5, "s-x")
    assert read_firing(b"\xc1") is None
