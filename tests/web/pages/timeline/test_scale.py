"""Where moments stand: later is never further left, idle stretches are folded [O23]."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepflow.web.pages.timeline.scale import STEPS, Scale, gaps, ticks, union
from stepflow.web.pages.timeline.words import since

moments = st.floats(0, 1e6, allow_nan=False)
stretches = st.lists(st.tuples(moments, st.floats(0, 1e4)).map(lambda s: (s[0], s[0] + s[1])))


@given(stretches, st.floats(0, 1e6), st.lists(moments, min_size=2), st.booleans())
def test_a_later_moment_never_stands_further_left(busy, length, looked_at, is_true):
    """[O23]"""
    scale = Scale.of(busy, 0.0, length, is_true=is_true)
    places = [scale.at(moment) for moment in sorted(looked_at)]
    assert all(0 <= place <= 100 for place in places)
    assert all(one <= two for one, two in pairwise(places))
    assert scale.at(scale.first) == 0
    assert scale.at(scale.last) == pytest.approx(100)


@given(stretches, st.floats(1, 1e6))
def test_the_pieces_of_a_scale_follow_each_other(busy, length):
    scale = Scale.of(busy, 0.0, length)
    for one, two in pairwise(scale.pieces):
        assert one.end == two.start
        assert one.right == pytest.approx(two.left)
    for piece in scale.pieces:
        assert piece.start < piece.end
        assert piece.left <= piece.right


@given(stretches, st.floats(1, 1e6))
def test_only_idle_stretches_of_more_than_a_second_are_folded(busy, length):
    """[O23]"""
    for fold in Scale.of(busy, 0.0, length).folds:
        assert fold.end - fold.start > 1
        assert all(end <= fold.start or start >= fold.end for start, end in busy)


def test_a_long_sleep_takes_little_room_and_the_work_the_rest():
    """[O23]"""
    scale = Scale.of([(0, 1), (86_401, 86_402)], 0, 86_402)
    [fold] = scale.folds
    assert (fold.start, fold.end) == (1, 86_401)
    assert fold.right - fold.left == pytest.approx(4)
    assert scale.at(0.5) == pytest.approx(24)


def test_a_true_scale_folds_nothing():
    scale = Scale.of([(0, 1), (86_401, 86_402)], 0, 86_402, is_true=True)
    assert not scale.folds
    assert scale.at(43_201) == pytest.approx(50)


def test_an_instant_of_work_between_waits_does_not_take_the_whole_width():
    scale = Scale.of([(5, 5.004), (31, 31), (106, 106)], 0, 400)
    assert len(scale.folds) == 4
    assert scale.at(5.004) - scale.at(5) < 3


@given(stretches, st.floats(0.001, 1e6))
def test_ticks_stand_apart(busy, length):
    for one, two in pairwise(ticks(Scale.of(busy, 0.0, length))):
        assert two.left - one.left > 5


@given(stretches, st.floats(0.001, 1e9))
def test_no_two_ticks_of_an_axis_have_the_same_label(busy, length):
    """[O23] Also after a fold, where they are much closer than the time since the beginning."""
    named = [since(t.after_s, t.step_s) for t in ticks(Scale.of(busy, 0.0, length))]
    assert len(set(named)) == len(named)


@given(st.sampled_from(STEPS), st.integers(0, 1_000_000))
def test_a_label_is_as_exact_as_the_distance_of_the_ticks(step_s, number):
    """[O23]"""
    assert since(number * step_s, step_s) != since((number + 1) * step_s, step_s)


@pytest.mark.parametrize(
    ("seconds", "step_s", "label"),
    [(0, 1, "0"), (0.02, 0.01, "20 ms"), (5.02, 0.02, "5.02 s"), (5, 0.02, "5 s"),
     (20, 10, "20 s"), (119.9999, 0.5, "2:00.0"), (378, 1, "6:18"), (3661.25, 0.05, "1:01:01.25"),
     (7200, 600, "2 h"), (90_000, 1800, "25:00:00"), (172_800, 43_200, "2 d")],
)  # fmt: skip
def test_a_tick_says_how_long_after_the_beginning_it_is(seconds, step_s, label):
    assert since(seconds, step_s) == label


def test_stretches_that_touch_are_one():
    assert union([(3, 4), (0, 1), (1, 2)]) == [(0, 2), (3, 4)]
    assert list(gaps([(3, 4), (0, 1)], 0, 10)) == [(1, 3), (4, 10)]
