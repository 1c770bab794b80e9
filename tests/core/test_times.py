"""Times as users write them: one bound, and whatever they add up to can be shown."""

from __future__ import annotations

import math
import threading
from datetime import UTC, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepflow import Continue, RetryPolicy, TransientError
from stepflow.core.cancel import CancelToken
from stepflow.errors import InvalidOption
from stepflow.times import FOREVER_S, LATEST, as_datetime, in_words, seconds, unix_time, wait_asked
from stepflow.worker.execute import raised

NO_DURATION = {
    "negative": -0.001,
    "negative timedelta": timedelta(seconds=-5),
    "nan": math.nan,
    "inf": math.inf,
    "minus inf": -math.inf,
    "too long": 1e30,
    "longest timedelta": timedelta.max,
    "timedelta of millions of years": timedelta(days=999_999_999),
    "int of 5,000 digits": 10**5000,
    "bool": True,
    "text": "5",
    "none": None,
    "decimal": Decimal(5),
    "a time of day": time(5),
    "a moment": datetime(2030, 1, 1, tzinfo=UTC),
    "half a surrogate pair": "\ud800",
}


@pytest.mark.parametrize("what", NO_DURATION)
def test_what_is_no_duration_is_refused_in_words_that_say_where_and_what_is_allowed(what):
    """[B14]"""
    with pytest.raises(
        InvalidOption, match=r"^delay is .*; a duration is seconds or a timedelta, from 0 to 9,0"
    ) as caught:
        seconds(NO_DURATION[what], "delay")
    assert len(str(caught.value).encode()) < 400


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (0, 0.0),
        (-0.0, 0.0),
        (5, 5.0),
        (timedelta(minutes=1), 60.0),
        (Fraction(1, 2), 0.5),
        (FOREVER_S, FOREVER_S),
    ],
)
def test_a_duration_is_seconds(given, wanted):
    """[B14]"""
    assert (seconds(given), math.copysign(1, seconds(given))) == (wanted, 1)


class Broken(tzinfo):
    def utcoffset(self, moment):
        raise ZeroDivisionError


class Nowhere(tzinfo):
    def utcoffset(self, moment):
        return None


NO_MOMENT = {
    "naive": datetime(2030, 1, 1),
    "in no zone": datetime(2030, 1, 1, tzinfo=Nowhere()),
    "in a broken zone": datetime(2030, 1, 1, tzinfo=Broken()),
    "the last one": datetime.max.replace(tzinfo=UTC),
    "the last one, far west": datetime.max.replace(tzinfo=timezone(timedelta(hours=-14))),
    "nan": math.nan,
    "inf": math.inf,
    "before there was time": -1e30,
    "bool": True,
    "text": "2030-01-01",
    "a duration": timedelta(1),
}


@pytest.mark.parametrize("what", NO_MOMENT)
def test_what_is_no_moment_is_refused_in_words(what):
    """[B14]"""
    with pytest.raises(
        InvalidOption, match=r"^start_at is .* a moment is unix seconds or an aware datetime"
    ):
        unix_time(NO_MOMENT[what], "start_at")


@pytest.mark.parametrize(
    "past", [0, -5.0, datetime(1900, 1, 1, tzinfo=UTC), datetime.min.replace(tzinfo=UTC)]
)
def test_a_moment_may_be_past(past):
    """[B14]"""
    assert Continue(at=past).due_at(100.0) <= 0


@given(st.floats(0, FOREVER_S), st.floats(-1e9, LATEST))
def test_whatever_is_accepted_adds_up_to_a_time_that_can_be_shown(duration, moment):
    """[B14]"""
    assert as_datetime(unix_time(moment) + seconds(duration)) is not None or moment + duration == 0
    later = moment + duration + 1
    assert later == 0 or abs(as_datetime(later).timestamp() - later) < 0.001


@pytest.mark.parametrize("east", [-14, 0, 14])
@pytest.mark.parametrize("stored", [1e300, -1e300, math.inf, -math.inf, math.nan, 0.0, 1e12])
def test_reading_any_time_never_raises_and_what_it_gives_can_be_shown_anywhere(stored, east):
    """[B14]"""
    read = as_datetime(stored)
    assert in_words(stored)
    assert read is None or read.astimezone(timezone(timedelta(hours=east))).isoformat()


@pytest.mark.parametrize("odd", [math.inf, math.nan, -1, "5", True, timedelta.max])
def test_a_retry_after_that_makes_no_sense_is_refused_where_it_is_given(odd):
    """[B14]"""
    with pytest.raises(InvalidOption, match="retry_after of TransientError is"):
        TransientError("busy", retry_after=odd)


@pytest.mark.parametrize(
    ("later", "wait_s"),
    [
        (math.inf, None),
        (math.nan, None),
        (-1, None),
        ("5", None),
        (True, None),
        (object(), None),
        (None, None),
        (30, 30.0),
        (timedelta(minutes=1), 60.0),
        (1e30, FOREVER_S),
    ],
)
def test_one_that_is_set_later_is_ignored_or_bounded(later, wait_s):
    """[B14]"""
    error = TransientError("busy", retry_after=1)
    error.retry_after = later
    assert raised(error, RetryPolicy()).retry_after_s == wait_asked(later) == wait_s


class Odd(TransientError):
    """Asks for nothing that can be read."""

    def __init__(self, way):
        self.way = way

    @property
    def retry_after(self):
        if self.way == "raises":
            raise ZeroDivisionError
        raise AttributeError


@pytest.mark.parametrize("way", ["raises", "has none"])
def test_an_error_whose_retry_after_cannot_be_read_is_tried_again_by_the_policy(way):
    """[B14]"""
    found = raised(Odd(way), RetryPolicy())
    assert (found.retry_after_s, found.retryable) == (None, True)


def test_a_thread_can_wait_for_as_long_as_a_duration_may_be():
    """[B14]"""
    token = CancelToken()
    token.fire("now")
    assert token.wait_blocking(FOREVER_S)
    assert threading.TIMEOUT_MAX >= FOREVER_S
    with pytest.raises(InvalidOption):
        CancelToken().wait_blocking(-1)
