"""[K1] Joins against a model: what a join says in words, tried out on every order of ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product

import pytest

from stepflow import InvalidOption, Join
from stepflow.core.children import ChildGroup
from stepflow.core.fanout.join import Goal, JoinFirst, JoinSlots, Verdict, as_join, goal_of
from stepflow.kits.flow.commands.map import group_of

#: (join of a number, whether so many successes of a total are what it asks for once all have ended,
#: whether those successes alone settle it)
Law = tuple[Callable[[int], Join], Callable[[int, int, int], bool], bool]
LAWS: dict[str, Law] = {
    "all": (lambda _: Join.all(), lambda won, total, _: won == total, True),
    "any": (lambda _: Join.any(), lambda won, _, __: won >= 1, True),
    "quorum": (Join.quorum, lambda won, _, n: won >= n, True),
    "percentage": (
        lambda n: Join.percentage((n + 1) / 7),
        lambda won, total, n: 7 * won >= (n + 1) * total,
        True,
    ),
    "partial": (Join.partial, lambda won, _, n: won >= n, True),
    "settled": (lambda n: Join.settled(at_least=n), lambda won, _, n: won >= n, False),
}


def all_ends(total: int) -> Iterator[tuple[bool, ...]]:
    """Every order in which so many may succeed or fail."""
    return product((True, False), repeat=total)


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("total", range(1, 7))
@pytest.mark.parametrize("n", range(7))
def test_a_join_is_settled_by_the_first_end_that_decides_it(law: str, total: int, n: int) -> None:
    """Met when no further end can change that, and not met when none can help any more."""
    make, holds, is_settled_by_successes = LAWS[law]
    goal = goal_of(make(n), total)
    for ends in all_ends(total):
        for count in range(total + 1):
            won, left = sum(ends[:count]), total - count
            can_be_met = holds(won + left, total, n)
            is_met = holds(won, total, n) and (is_settled_by_successes or not left)
            expected = Verdict.MET if is_met else None if can_be_met else Verdict.NOT_MET
            assert goal.verdict(won, count - won) is expected, (ends, count)
            if expected is not None:
                break
        else:
            raise AssertionError("a join whose branches have all ended is settled")


@pytest.mark.parametrize("law", LAWS)
def test_a_join_whose_time_is_up_is_settled_by_what_has_succeeded(law: str) -> None:
    make, holds, _ = LAWS[law]
    for total, n in product(range(1, 6), range(7)):
        goal = goal_of(make(n), total)
        for won, failed in product(range(total + 1), repeat=2):
            if won + failed <= total:
                met = Verdict.MET if holds(won, total, n) else Verdict.NOT_MET
                assert goal.verdict(won, failed, is_time_up=True) is met


@pytest.mark.parametrize("law", LAWS)
def test_of_nothing_every_join_is_met_at_once(law: str) -> None:
    assert goal_of(LAWS[law][0](3), 0).verdict(0, 0) is Verdict.MET


def test_a_quorum_of_none_is_met_and_of_too_many_not_met_at_once() -> None:
    assert goal_of(Join.quorum(0), 5).verdict(0, 0) is Verdict.MET
    assert goal_of(Join.quorum(6), 5).verdict(0, 0) is Verdict.NOT_MET
    assert goal_of(Join.settled(at_least=6), 5).verdict(0, 0) is Verdict.NOT_MET


@pytest.mark.parametrize(
    ("part", "total", "need"),
    [(0.1, 30, 3), (0.5, 5, 3), (1, 4, 4), (1.0, 4, 4), (0.01, 3, 1), (1 / 3, 3, 1), (2 / 3, 3, 2)],
)
def test_a_percentage_is_rounded_up_and_no_float_rounds_it_further(
    part: float, total: int, need: int
) -> None:
    assert goal_of(Join.percentage(part), total).need == need


def test_a_map_has_the_numbers_of_its_join() -> None:
    """[F13] The script that counts ends knows no more than these."""
    group = group_of("m", 5, limit=2, join=Join.quorum(2))
    assert group == ChildGroup("m", 5, 2, 3, 2)
    assert goal_of(Join.quorum(2), 5) == Goal(5, 2, 3, 2)


def test_what_is_short_for_a_join_stands_for_it() -> None:
    assert as_join("all", "ctx.map") == Join.all()
    assert as_join("settled", "ctx.map") == Join.settled()
    assert as_join(2, "ctx.map") == Join.quorum(2)
    given = Join.partial(1, timeout=3)
    assert as_join(given, "ctx.map") is given
    assert isinstance(given, JoinSlots)
    assert isinstance(Join.any(), JoinFirst)


@pytest.mark.parametrize(
    ("join", "words"),
    [
        (Join.all(), "all()"), (Join.any(timeout=2), "any(timeout=2)"),
        (Join.quorum(2), "quorum(2)"), (Join.percentage(0.25), "percentage(0.25)"),
        (Join.partial(3, timeout=0.5), "partial(3, timeout=0.5)"),
        (Join.settled(), "settled()"),
        (Join.settled(timeout=30, at_least=1), "settled(at_least=1, timeout=30)"),
    ],
)  # fmt: skip
def test_a_join_is_written_as_it_is_called(join: Join, words: str) -> None:
    assert str(join) == words


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Join.quorum(-1),
        lambda: Join.quorum(True),
        lambda: Join.quorum(1.5),
        lambda: Join.percentage(0),
        lambda: Join.percentage(1.1),
        lambda: Join.percentage(True),
        lambda: Join.partial("2"),
        lambda: Join.settled(at_least=-1),
        lambda: Join.all(timeout=-1),
        lambda: as_join("any", "ctx.map"),
        lambda: as_join(True, "ctx.map"),
        lambda: as_join(-1, "ctx.map"),
    ],
)
def test_a_join_of_numbers_out_of_range_is_refused(wrong: Callable[[], object]) -> None:
    with pytest.raises(InvalidOption):
        wrong()
