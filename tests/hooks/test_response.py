"""What each answer means."""

from datetime import UTC, datetime

import pytest

from stepflow.hooks.response import Verdict, VerdictKind, judge, read_retry_after

NOW = datetime(2026, 11, 2, 12, tzinfo=UTC)
AGAIN = {408, 425, 429, *range(500, 600)}


def expected(status: int) -> VerdictKind:
    if 200 <= status < 300:
        return VerdictKind.DELIVERED
    return VerdictKind.RETRY if status in AGAIN else VerdictKind.DEAD


def test_every_status_has_its_verdict() -> None:
    for status in range(100, 1000):
        verdict = judge(status, None, NOW)
        assert (verdict.kind, verdict.status) == (expected(status), status)
        assert str(status) in verdict.why


def test_a_redirect_and_a_receiver_gone_for_good_are_said_to_be_so() -> None:
    assert "redirect; none is followed" in judge(302, None, NOW).why
    assert "gone for good" in judge(410, None, NOW).why


def test_a_retry_carries_what_the_receiver_asked_for_and_nothing_else_does() -> None:
    assert judge(503, "120", NOW) == Verdict.retry("answered 503", 120.0, status=503)
    assert judge(503, None, NOW).after_s is None
    assert judge(404, "120", NOW).after_s is None
    assert judge(200, "120", NOW).after_s is None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (None, None),
        ("", None),
        ("0", 0),
        ("120", 120),
        (" 120 ", 120),
        ("000120", 120),
        ("1.5", 1),
        ("86400", 86400),
        ("86401", 86400),
        ("9" * 6000, 86400),
        ("-5", None),
        ("soon", None),
        ("\u0661\u0662", None),
        ("Mon, 02 Nov 2026 12:01:40 GMT", 100),
        ("Mon, 02 Nov 2026 12:01:40 -0000", 100),
        ("Mon, 02 Nov 2026 11:00:00 GMT", 0),
        ("Wed, 02 Nov 2027 12:00:00 GMT", 86400),
        ("Monday, 02-Nov-26 12:01:40 GMT", 100),
        ("Mon, 99 Nov 2026 12:01:40 GMT", None),
        ("Mon, 02 Nov 99999 12:01:40 GMT", None),
        ("Mon, 02 Nov 2026 12:01:40 +99999999999999999", None),
    ],
)
def test_retry_after_is_read_as_seconds_or_a_date_and_a_day_at_most(
    text: str | None, seconds: float | None
) -> None:
    assert read_retry_after(text, NOW) == seconds
