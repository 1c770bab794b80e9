"""How many deliveries are in progress at one origin, on a clock that the test moves."""

import heapq
from collections import Counter

from stepflow.hooks.limiter import LONGEST_WAIT_S, SHORTEST_WAIT_S, HostLimiter


def test_an_origin_takes_its_share_and_no_more() -> None:
    limiter = HostLimiter(4)
    assert [limiter.enter("a:80", 0.0) for _ in range(4)] == [None] * 4
    assert limiter.enter("a:80", 0.0) is not None


def test_origins_do_not_share() -> None:
    limiter = HostLimiter(1)
    assert [limiter.enter(origin, 0.0) for origin in ("a:80", "a:81", "b:80")] == [None] * 3


def test_who_leaves_makes_room() -> None:
    limiter = HostLimiter(1)
    limiter.enter("a:80", 0.0)
    assert limiter.enter("a:80", 1.0) is not None
    limiter.leave("a:80", 0.0, 1.0, answered=True)
    assert limiter.enter("a:80", 1.0) is None


def test_an_origin_that_did_not_answer_has_one_at_a_time_until_it_answers() -> None:
    limiter = HostLimiter(4)
    limiter.enter("a:80", 0.0)
    limiter.leave("a:80", 0.0, 15.0, answered=False)
    assert limiter.enter("a:80", 15.0) is None
    assert limiter.enter("a:80", 15.0) is not None
    limiter.leave("a:80", 15.0, 16.0, answered=True)
    assert [limiter.enter("a:80", 16.0) for _ in range(4)] == [None] * 4


def test_a_try_that_was_given_up_says_nothing_about_the_origin() -> None:
    limiter = HostLimiter(2)
    limiter.enter("a:80", 0.0)
    limiter.leave("a:80", 0.0, 15.0, answered=None)
    assert [limiter.enter("a:80", 15.0) for _ in range(2)] == [None] * 2


def test_moments_to_ask_again_are_dealt_out_one_after_another_within_bounds() -> None:
    limiter = HostLimiter(1)
    limiter.enter("a:80", 0.0)
    limiter.leave("a:80", 0.0, 30.0, answered=False)
    limiter.enter("a:80", 30.0)
    waits = [limiter.enter("a:80", 30.0) or 0.0 for _ in range(40)]
    assert waits[0] < waits[1] < waits[2]
    assert all(SHORTEST_WAIT_S <= wait <= LONGEST_WAIT_S for wait in waits)
    assert max(Counter(waits).values()) <= len(waits) / 2, "not all at one moment"


def test_an_origin_that_has_come_back_deals_out_near_moments_again() -> None:
    limiter = HostLimiter(1)
    limiter.enter("a:80", 0.0)
    limiter.leave("a:80", 0.0, 15.0, answered=False)
    limiter.enter("a:80", 15.0)
    far = [limiter.enter("a:80", 15.0) or 0.0 for _ in range(5)][-1]
    limiter.leave("a:80", 15.0, 15.1, answered=True)
    limiter.enter("a:80", 16.0)
    assert (limiter.enter("a:80", 16.0) or 0.0) < far


def test_origins_long_gone_are_forgotten_and_those_in_progress_are_not() -> None:
    limiter = HostLimiter(1)
    limiter.enter("kept:80", 0.0)
    for number in range(10_000):
        limiter.enter(f"h{number}:80", 0.0)
        limiter.leave(f"h{number}:80", 0.0, 0.0, answered=False)
    assert len(limiter._origins) < 5_000
    assert limiter.enter("kept:80", 0.0) is not None


def test_a_thousand_deliveries_to_fifty_dead_origins_neither_churn_nor_hold_up_a_live_one() -> None:
    """1,000 due at once, each try held for 15 s; one more to a live origin every second."""
    limiter, slots = HostLimiter(4), 256
    due = [(0.0, number, f"dead{number % 50}:443") for number in range(1000)]
    heapq.heapify(due)
    leaving: list[tuple[float, str, float]] = []
    asked = most_inside = tried = 0
    next_live = 0.0
    while due:
        now, number, origin = heapq.heappop(due)
        while leaving and leaving[0][0] <= now:
            at, where, since = heapq.heappop(leaving)
            limiter.leave(where, since, at, answered=False)
        while next_live <= now:
            assert len(leaving) < slots
            assert limiter.enter("live:443", next_live) is None
            limiter.leave("live:443", next_live, next_live + 0.05, answered=True)
            next_live += 1.0
        after_s = limiter.enter(origin, now)
        if after_s is None:
            tried += 1
            heapq.heappush(leaving, (now + 15.0, origin, now))
            most_inside = max(most_inside, len(leaving))
        else:
            asked += 1
            heapq.heappush(due, (now + after_s, number, origin))
    assert tried == 1000
    assert most_inside <= 200
    assert next_live < 60 * 20, (
        "a origin's 20 deliveries take little more than their 20 x 15 s one by one"
    )
    assert asked < 12 * 1000, "a dozen times each, in the twenty tries' five minutes"


def test_a_thousand_deliveries_to_one_live_origin_keep_it_busy() -> None:
    """All due at once, each answered after 0.2 s: at four at a time 50 s is the least."""
    limiter, due, leaving, last = HostLimiter(4), [(0.0, number) for number in range(1000)], [], 0.0
    asked = 0
    while due:
        now, number = heapq.heappop(due)
        while leaving and leaving[0][0] <= now:
            at, since = heapq.heappop(leaving)
            limiter.leave("live:443", since, at, answered=True)
        after_s = limiter.enter("live:443", now)
        if after_s is None:
            heapq.heappush(leaving, (now + 0.2, now))
            last = now
        else:
            asked += 1
            heapq.heappush(due, (now + after_s, number))
    assert last < 60
    assert asked < 4 * 1000
