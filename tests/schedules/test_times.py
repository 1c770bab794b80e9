"""
The times of schedules: cron lines through the switches of the clock, every so often, given ones.

[T6] [T7] [T8] [T20] The tables are by hand; a second implementation walks through every minute.
"""

from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import islice
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepflow.core.schedules import times as module
from stepflow.core.schedules.times import (
    after,
    at,
    between,
    cron,
    every,
    jitter_of,
    newest,
    read_times,
    run_id_of,
)
from stepflow.errors import InvalidOption


def moment(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def fired(line, tz, start, end):
    """The times in between, by the clock of the zone."""
    found = between(cron(line, tz), moment(start), moment(end))
    return [datetime.fromtimestamp(each, ZoneInfo(tz)).strftime("%d %H:%M") for each in found]


BERLIN, YORK, HOWE, APIA, CHATHAM = (
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "Pacific/Chatham",
)
#: line, zone, from and to (UTC), the times by the clock of the zone
TABLE = [
    ("30 2 * * *", BERLIN, "2026-10-24T22:00", "2026-10-25T23:00", ["25 02:30"]),
    ("30 2 * * *", BERLIN, "2027-03-27T23:00", "2027-03-28T22:00", ["28 03:00"]),
    ("0 2 * * *", BERLIN, "2027-03-27T23:00", "2027-03-28T22:00", ["28 03:00"]),
    ("0,30 2 * * *", BERLIN, "2027-03-27T23:00", "2027-03-28T22:00", ["28 03:00"]),
    ("30 1 * * *", YORK, "2026-11-01T04:00", "2026-11-02T05:00", ["01 01:30"]),
    ("30 2 * * *", YORK, "2027-03-14T05:00", "2027-03-15T04:00", ["14 03:00"]),
    ("15 2 * * *", HOWE, "2026-10-03T13:30", "2026-10-04T13:00", ["04 02:30"]),
    ("45 1 * * *", HOWE, "2027-04-03T13:00", "2027-04-04T13:30", ["04 01:45"]),
    ("0 12 * * *", APIA, "2011-12-29T10:00", "2011-12-31T09:59",
     ["29 12:00", "31 00:00", "31 12:00"]),
    ("*/30 2 * * *", BERLIN, "2026-10-24T22:00", "2026-10-25T23:00",
     ["25 02:00", "25 02:30", "25 02:00", "25 02:30"]),
    ("*/30 2 * * *", BERLIN, "2027-03-27T23:00", "2027-03-28T22:00", []),
]  # fmt: skip


@pytest.mark.parametrize(("line", "tz", "start", "end", "expected"), TABLE)
def test_a_fixed_time_runs_once_and_a_star_follows_real_time(line, tz, start, end, expected):
    """[T6] celery #1604, #9653, django-celery-beat #604, aiocron #28."""
    assert fired(line, tz, start, end) == expected


@pytest.mark.parametrize(
    ("start", "end", "count"),
    [("2026-10-24T21:59", "2026-10-25T22:59", 25), ("2027-03-27T22:59", "2027-03-28T21:59", 23)],
)
def test_every_hour_is_every_hour_on_a_day_of_25_and_of_23(start, end, count):
    """[T6]"""
    assert len(fired("0 * * * *", BERLIN, start, end)) == count


SWITCHES = [
    (BERLIN, "2026-10-24T12:00"),
    (BERLIN, "2027-03-27T12:00"),
    (YORK, "2026-10-31T12:00"),
    (YORK, "2027-03-13T12:00"),
    (HOWE, "2026-10-03T00:00"),
    (HOWE, "2027-04-03T00:00"),
    (APIA, "2011-12-29T00:00"),
    (CHATHAM, "2026-04-04T00:00"),
    (CHATHAM, "2026-09-26T00:00"),
]


@cache
def clock_of(tz, begin):
    """What the clock of a zone shows at each minute around *begin*."""
    zone = ZoneInfo(tz)
    minutes = range(int(begin) - 3 * 86400, int(begin) + 7 * 86400, 60)
    return [(at, datetime.fromtimestamp(at, zone).replace(tzinfo=None)) for at in minutes]


def by_hand(minute, hour, tz, start, hours):
    """
    The times of a daily time: for each day of the calendar the first instant at which the clock of
    the zone shows that time or a later one.
    """
    found, begin = set(), moment(start)
    days = {
        (datetime.fromtimestamp(begin, UTC) + timedelta(days=number)).date()
        for number in range(-2, hours // 24 + 3)
    }
    for day in days:
        wanted = datetime(day.year, day.month, day.day, hour, minute)
        walked = next(at for at, clock in clock_of(tz, begin) if clock >= wanted)
        if begin < walked <= begin + hours * 3600:
            found.add(walked)
    return sorted(found)


@pytest.mark.parametrize(("tz", "start"), SWITCHES)
@pytest.mark.parametrize("hour", [0, 1, 2, 3, 12])
def test_each_minute_of_a_switch_as_somebody_with_a_calendar_would_find_it(tz, start, hour):
    """[T6]"""
    for minute in (0, 30):
        line = cron(f"{minute} {hour} * * *", tz)
        found = list(between(line, moment(start), moment(start) + 36 * 3600))
        assert found == by_hand(minute, hour, tz, start, 36)


@pytest.mark.parametrize(("tz", "start"), SWITCHES)
@pytest.mark.parametrize(
    ("line", "minutes", "hours"),
    [
        ("* 2,3,9 * * *", range(60), (2, 3, 9)),
        ("*/2 3,16 * * *", range(0, 60, 2), (3, 16)),
        ("*/15 1,2 * * *", range(0, 60, 15), (1, 2)),
        ("*/30 9,18 * * *", (0, 30), (9, 18)),
        ("45 * * * *", (45,), range(24)),
        ("10 */3 * * *", (10,), range(0, 24, 3)),
        ("0 30 2 * * *", (30,), (2,)),
    ],
)
def test_a_line_that_follows_real_time_runs_whenever_the_clock_shows_its_time(
    tz, start, line, minutes, hours
):
    """[T6] Also where a zone skips or repeats half an hour, from 1:45 or 2:45 on, or a day."""
    begin = moment(start)
    expected = [
        at
        for at, clock in clock_of(tz, begin)
        if begin < at <= begin + 60 * 3600 and clock.minute in minutes and clock.hour in hours
    ]
    assert list(between(cron(line, tz), begin, begin + 60 * 3600)) == expected


@pytest.mark.parametrize(("tz", "start"), SWITCHES)
def test_from_each_minute_the_next_time_is_after_it_and_the_same(tz, start):
    """[T6] [T17] A worker that starts at whatever minute goes on with the same times."""
    lines = [cron(line, tz) for line in ("30 2 * * *", "30 1 * * *", "*/20 * * * *", "0 */2 * * *")]
    for line in lines:
        whole = list(between(line, moment(start), moment(start) + 100 * 3600))
        for minute in range(0, 48 * 60, 29):
            now = moment(start) + minute * 60
            assert after(line, now) == next(each for each in whole if each > now)


def test_every_is_counted_from_the_epoch():
    """[T7]"""
    hourly = every(3600, 300)
    assert after(hourly, 0.0) == 300
    assert after(hourly, 300.0) == 3900
    assert after(hourly, 299.9) == 300


def test_given_times_come_in_order_and_end():
    times = at([30.0, 10.5, 30.0])
    assert list(islice(times.walk(0.0), 5)) == [10.0, 30.0]
    assert after(times, 30.0) is None


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: cron("0 0 30 2 *"), "cron"),
        (lambda: cron("0 0 31 4,6 *"), "cron"),
        (lambda: cron("61 * * * *"), "no cron line"),
        (lambda: cron(""), "no cron line"),
        (lambda: cron("0 2 * * *", "Europe/Bonn"), "no time zone"),
        (lambda: cron("0 2 * * *", "../etc/passwd"), "no time zone"),
        (lambda: every(0.5), "whole seconds"),
        (lambda: every(60, 60), "less than every"),
        (lambda: at([]), "1 to 1000"),
    ],
)
def test_what_can_never_be_is_refused(make, words):
    """[T20]"""
    with pytest.raises(InvalidOption, match=words):
        make()


@pytest.mark.parametrize(
    "times",
    [cron("@daily"), cron("*/5 * * * * *"), cron("0 2 * * MON#1", BERLIN), every(60), at([5.0])],
)
def test_times_are_read_back_as_they_were_written(times):
    assert read_times(times.as_dict()) == times
    assert times.words


@pytest.mark.parametrize(
    "written", [None, {}, {"cron": 1}, {"every": "x", "offset": 0}, {"at": "x"}]
)
def test_what_says_no_times_is_refused(written):
    with pytest.raises(InvalidOption):
        read_times(written)


@given(st.integers(0, 10**9), st.integers(1, 10**7))
def test_the_newest_time_is_the_last_of_all(start, length):
    times = every(3601, 17)
    found = list(between(times, start, start + length))
    assert newest(times, start, start + length) == (found[-1] if found else None)


def test_the_newest_time_of_a_long_gap_is_found_without_a_walk(monkeypatch):
    """A minutely schedule whose workers were away for ten years."""
    walked = []
    real = module.between

    def counted(*args):
        for each in real(*args):
            walked.append(each)
            yield each

    monkeypatch.setattr(module, "between", counted)
    start = moment("2016-01-01T00:00")
    end = moment("2026-01-01T00:00")
    assert newest(cron("* * * * *", BERLIN), start, end) == end
    assert len(walked) < 10


@given(st.floats(0.001, 10_000), st.integers(0, 10**9))
def test_jitter_is_the_same_for_all_and_below_its_bound(jitter_s, nominal):
    """[T8]"""
    one = jitter_of("a", nominal, jitter_s)
    assert one == jitter_of("a", nominal, jitter_s)
    assert 0 <= one < max(jitter_s, 0.001)


def test_a_run_is_named_by_its_schedule_and_its_time():
    """[T3]"""
    assert run_id_of("nightly", moment("2026-11-25T02:00")) == "nightly-20261125T020000Z"
