"""When a failed delivery is tried again."""

import pytest

from stepflow.hooks.schedule import TRIES, next_wait_s


def test_the_waits_are_those_of_the_book_and_then_used_up() -> None:
    waits = [next_wait_s(attempt, 0.5) for attempt in range(1, TRIES + 1)]
    assert waits == pytest.approx([5, 300, 1800, 7200, 18000, 36000, 36000, None])
    assert next_wait_s(TRIES + 1, 0.5) is None


@pytest.mark.parametrize(("spread", "wait_s"), [(0.0, 240), (0.25, 270), (1.0, 360)])
def test_a_wait_is_spread_by_a_fifth_either_way(spread: float, wait_s: float) -> None:
    assert next_wait_s(2, spread) == pytest.approx(wait_s)


def test_the_same_draw_gives_the_same_wait() -> None:
    assert len({next_wait_s(3, 0.3) for _ in range(20)}) == 1
    assert next_wait_s(3, 0.3) != next_wait_s(3, 0.4)


@pytest.mark.parametrize(
    ("asked_s", "wait_s"),
    [(None, 5), (0.0, 5), (4.0, 5), (60.0, 60), (86400.0, 86400), (1e9, 86400)],
)
def test_what_the_receiver_asks_for_counts_where_it_is_longer(
    asked_s: float | None, wait_s: float
) -> None:
    assert next_wait_s(1, 0.5, asked_s) == pytest.approx(wait_s)


def test_asking_for_more_time_gives_no_more_tries() -> None:
    assert next_wait_s(TRIES, 0.5, 60.0) is None
