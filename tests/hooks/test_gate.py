"""How many deliveries are in progress at one place, on a clock that the test moves."""

import heapq
from collections import Counter

from stepflow.hooks.limiter import LONGEST_WAIT_S, SHORTEST_WAIT_S, HostLimiter


def test_a_place_takes_its_share_and_no_more() -> None:
    gate = HostLimiter(4)
    assert [gate.enter("a:80", 0.0) for _ in range(4)] == [None] * 4
    assert gate.enter("a:80", 0.0) is not None


def test_places_do_not_share() -> None:
    gate = HostLimiter(1)
    assert [gate.enter(place, 0.0) for place in ("a:80", "a:81", "b:80")] == [None] * 3


def test_who_leaves_makes_room() -> None:
    gate = HostLimiter(1)
    gate.enter("a:80", 0.0)
    assert gate.enter("a:80", 1.0) is not None
    gate.leave("a:80", 0.0, 1.0, heard=True)
    assert gate.enter("a:80", 1.0) is None


def test_a_place_that_did_not_answer_has_one_at_a_time_until_it_answers() -> None:
    gate = HostLimiter(4)
    gate.enter("a:80", 0.0)
    gate.leave("a:80", 0.0, 15.0, heard=False)
    assert gate.enter("a:80", 15.0) is None
    assert gate.enter("a:80", 15.0) is not None
    gate.leave("a:80", 15.0, 16.0, heard=True)
    assert [gate.enter("a:80", 16.0) for _ in range(4)] == [None] * 4


def test_a_try_that_was_given_up_says_nothing_about_the_place() -> None:
    gate = HostLimiter(2)
    gate.enter("a:80", 0.0)
    gate.leave("a:80", 0.0, 15.0, heard=None)
    assert [gate.enter("a:80", 15.0) for _ in range(2)] == [None] * 2


def test_moments_to_ask_again_are_dealt_out_one_after_another_within_bounds() -> None:
    gate = HostLimiter(1)
    gate.enter("a:80", 0.0)
    gate.leave("a:80", 0.0, 30.0, heard=False)
    gate.enter("a:80", 30.0)
    waits = [gate.enter("a:80", 30.0) or 0.0 for _ in range(40)]
    assert waits[0] < waits[1] < waits[2]
    assert all(SHORTEST_WAIT_S <= wait <= LONGEST_WAIT_S for wait in waits)
    assert max(Counter(waits).values()) <= len(waits) / 2, "not all at one moment"


def test_a_place_that_has_come_back_deals_out_near_moments_again() -> None:
    gate = HostLimiter(1)
    gate.enter("a:80", 0.0)
    gate.leave("a:80", 0.0, 15.0, heard=False)
    gate.enter("a:80", 15.0)
    far = [gate.enter("a:80", 15.0) or 0.0 for _ in range(5)][-1]
    gate.leave("a:80", 15.0, 15.1, heard=True)
    gate.enter("a:80", 16.0)
    assert (gate.enter("a:80", 16.0) or 0.0) < far


def test_places_long_gone_are_forgotten_and_those_in_progress_are_not() -> None:
    gate = HostLimiter(1)
    gate.enter("kept:80", 0.0)
    for number in range(10_000):
        gate.enter(f"h{number}:80", 0.0)
        gate.leave(f"h{number}:80", 0.0, 0.0, heard=False)
    assert len(gate._places) < 5_000
    assert gate.enter("kept:80", 0.0) is not None


def test_a_thousand_deliveries_to_fifty_dead_places_neither_churn_nor_hold_up_a_live_one() -> None:
    """1,000 due at once, each try held for 15 s; one more to a live place every second."""
    gate, slots = HostLimiter(4), 256
    due = [(0.0, number, f"dead{number % 50}:443") for number in range(1000)]
    heapq.heapify(due)
    leaving: list[tuple[float, str, float]] = []
    asked = most_inside = tried = 0
    next_live = 0.0
    while due:
        now, number, place = heapq.heappop(due)
        while leaving and leaving[0][0] <= now:
            at, where, since = heapq.heappop(leaving)
            gate.leave(where, since, at, heard=False)
        while next_live <= now:
            assert len(leaving) < slots
            assert gate.enter("live:443", next_live) is None
            gate.leave("live:443", next_live, next_live + 0.05, heard=True)
            next_live += 1.0
        after_s = gate.enter(place, now)
        if after_s is None:
            tried += 1
            heapq.heappush(leaving, (now + 15.0, place, now))
            most_inside = max(most_inside, len(leaving))
        else:
            asked += 1
            heapq.heappush(due, (now + after_s, number, place))
    assert tried == 1000
    assert most_inside <= 200
    assert next_live < 60 * 20, (
        "a place's 20 deliveries take little more than their 20 x 15 s one by one"
    )
    assert asked < 12 * 1000, "a dozen times each, in the twenty tries' five minutes"


def test_a_thousand_deliveries_to_one_live_place_keep_it_busy() -> None:
    """All due at once, each answered after 0.2 s: at four at a time 50 s is the least."""
    gate, due, leaving, last = HostLimiter(4), [(0.0, number) for number in range(1000)], [], 0.0
    asked = 0
    while due:
        now, number = heapq.heappop(due)
        while leaving and leaving[0][0] <= now:
            at, since = heapq.heappop(leaving)
            gate.leave("live:443", since, at, heard=True)
        after_s = gate.enter("live:443", now)
        if after_s is None:
            heapq.heappush(leaving, (now + 0.2, now))
            last = now
        else:
            asked += 1
            heapq.heappush(due, (now + after_s, number))
    assert last < 60
    assert asked < 4 * 1000
