"""
What a time means, against a model that steps through the seconds.

The model knows no shortcuts: it looks at a schedule each second at which somebody is there.
"""

from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepflow.core.schedules.decide import (
    MOST_COUNTED,
    PATIENCE_S,
    catch_up_after_pause,
    decide_firing,
    stand,
)
from stepflow.core.schedules.rules import MOST_BUFFERED, CatchUp, Overlap, Rules, read_overlap
from stepflow.core.schedules.state import LastRun, Left, SchedulePause, ScheduleState
from stepflow.core.schedules.times import at, every, run_id_of

BEGIN = 1_000_000.0


@dataclass
class Play:
    """One schedule with a worker that looks when it is due, and runs that end when told to."""

    rules: Rules
    now: float = BEGIN
    state: ScheduleState = field(default_factory=lambda: ScheduleState(through=BEGIN))
    #: run id -> how it stands
    runs: dict = field(default_factory=dict)
    history: list = field(default_factory=list)
    due_at: float | None = None
    wakes: bool = False

    def __post_init__(self):
        self.due_at = stand("s", self.rules, self.state, self.now).due_at

    @property
    def last(self):
        return self.runs.get(self.state.last_run, LastRun.GONE)

    def look(self, **options):
        """Decide again and again, as a worker does, until nothing is due."""
        for _ in range(3 * MOST_BUFFERED):
            made = decide_firing(
                "s", self.rules, self.state, last=self.last, now=self.now, **options
            )
            self.take(made)
            if self.due_at is None or self.due_at > self.now:
                return
        raise AssertionError("it never comes to an end")

    def take(self, made):
        self.state, self.due_at = made.state, made.due_at
        self.history += made.history
        if made.cancel:
            self.runs[made.cancel] = LastRun.ENDED
            self.due_at = self.now
        if made.run_for is not None:
            run_id = run_id_of("s", made.run_for)
            assert run_id not in self.runs, "a time ran twice"
            self.runs[run_id] = LastRun.LIVE

    def go_to(self, moment):
        """Let the time pass, with a worker that is there."""
        while self.due_at is not None and self.due_at <= moment:
            self.now = max(self.now, self.due_at)
            self.look()
        self.now = max(self.now, moment)

    def end(self, run_id, how=LastRun.ENDED):
        self.runs[run_id] = how
        if self.state.buffer or self.rules.pause_on_failure:
            self.look()

    @property
    def live(self):
        return [run_id for run_id, how in self.runs.items() if how is LastRun.LIVE]

    def times_of(self, **wanted):
        return [
            (line.nominal - BEGIN, line.left, line.count)
            for line in self.history
            if all(getattr(line, name) == value for name, value in wanted.items())
        ]


def nominals(play):
    return [line.nominal - BEGIN for line in play.history if line.run_id]


def rules(**given):
    return Rules(every(10), **given)


def test_a_time_that_has_come_has_its_run_and_the_next_is_due_after_it():
    play = Play(rules())
    play.go_to(BEGIN + 10)
    assert nominals(play) == [10]
    assert play.due_at == BEGIN + 20


def test_nothing_is_done_before_the_time():
    play = Play(rules())
    play.look()
    assert (play.runs, play.due_at) == ({}, BEGIN + 10)


@pytest.mark.parametrize(
    ("overlap", "ran", "left"),
    [
        (Overlap.SKIP, [10], [(20, Left.OVERLAP, 1), (30, Left.OVERLAP, 1)]),
        (Overlap.BUFFER_ONE, [10], [(30, Left.OVERLAP, 1)]),
        (Overlap.BUFFER_ALL, [10], []),
        (Overlap.CANCEL_OTHER, [10, 20, 30], []),
        (Overlap.ALLOW, [10, 20, 30], []),
    ],
)
def test_what_becomes_of_times_while_a_run_goes_on(overlap, ran, left):
    """[T9]"""
    play = Play(rules(overlap=overlap))
    play.go_to(BEGIN + 35)
    assert nominals(play) == ran
    assert play.times_of(run_id="") == left


def test_buffer_one_never_starts_two():
    """[T9] temporal #11530."""
    play = Play(rules(overlap=Overlap.BUFFER_ONE))
    play.go_to(BEGIN + 55)
    play.end(play.live[0])
    assert (nominals(play), len(play.live)) == ([10, 20], 1)
    play.end(play.live[0])
    assert (nominals(play), play.live) == ([10, 20], [])


def test_buffer_all_goes_through_all_one_after_the_other():
    """[T9]"""
    play = Play(rules(overlap=Overlap.BUFFER_ALL))
    play.go_to(BEGIN + 45)
    while play.live:
        assert len(play.live) == 1
        play.end(play.live[0])
    assert nominals(play) == [10, 20, 30, 40]


def test_a_full_buffer_says_what_it_leaves_out():
    """[T9] [T18]"""
    full = ScheduleState(
        BEGIN, last_run="a", buffer=tuple(BEGIN - 10 * n for n in range(MOST_BUFFERED))
    )
    play = Play(rules(overlap=Overlap.BUFFER_ALL), state=full, runs={"a": LastRun.LIVE})
    play.go_to(BEGIN + 10)
    assert play.times_of() == [(10, Left.FULL, 1)]
    assert len(play.state.buffer) == MOST_BUFFERED


@pytest.mark.parametrize(
    ("catch_up", "away", "ran", "left"),
    [
        (CatchUp.LATEST, 95, [90], [(80, Left.MISSED, 8)]),
        (CatchUp.ALL, 35, [10, 20, 30], []),
        (CatchUp.NONE, 95, [90], [(80, Left.MISSED, 8)]),
    ],
)
def test_what_came_while_nobody_was_there(catch_up, away, ran, left):
    """[T10]"""
    play = Play(rules(catch_up=catch_up, overlap=Overlap.ALLOW))
    play.now = BEGIN + away
    play.look()
    assert nominals(play) == ran
    assert play.times_of(run_id="") == left


def test_none_leaves_out_what_is_more_than_a_minute_late():
    """[T10]"""
    play = Play(Rules(every(1000), catch_up=CatchUp.NONE))
    play.now = BEGIN + 1100
    play.look()
    assert play.times_of() == [(1000, Left.MISSED, 1)]


@pytest.mark.parametrize("catch_up", [CatchUp.LATEST, CatchUp.ALL])
def test_what_is_too_old_is_not_made_up_for(catch_up):
    """[T10]"""
    play = Play(Rules(every(100), catch_up=catch_up, catch_up_within_s=250, overlap=Overlap.ALLOW))
    play.now = BEGIN + 1010
    play.look()
    expected = [1000] if catch_up is CatchUp.LATEST else [800, 900, 1000]
    assert nominals(play) == expected
    [(through, why, count)] = play.times_of(run_id="")
    assert (through, why, count) == (expected[0] - 100, Left.MISSED, expected[0] // 100 - 1)


def test_a_year_of_missed_times_is_one_line():
    play = Play(Rules(every(1)))
    play.now = BEGIN + 365 * 86400
    play.look()
    assert [line[1:] for line in play.times_of(run_id="")] == [(Left.MISSED, MOST_COUNTED)]
    assert len(play.runs) == 1


def test_jitter_makes_runs_later_but_not_their_times():
    """[T8]"""
    play = Play(Rules(every(1000), jitter_s=500, overlap=Overlap.ALLOW))
    play.go_to(BEGIN + 10_500)
    assert nominals(play) == [1000.0 * n for n in range(1, 11)]
    late = [line.at - line.nominal for line in play.history]
    assert 0 < max(late) < 500
    assert len(set(late)) > 5


def test_a_failure_pauses_where_that_is_asked_for_and_once():
    """[T11]"""
    play = Play(rules(pause_on_failure=True))
    play.go_to(BEGIN + 12)
    play.end(play.live[0], LastRun.FAILED)
    assert play.state.pause.note == "run s-19700112T134650Z failed"
    assert play.due_at is None
    play.take(catch_up_after_pause("s", play.rules, play.state, BEGIN + 25, is_asked=False))
    play.now = BEGIN + 25
    play.go_to(BEGIN + 31)
    assert play.state.pause is None
    assert nominals(play) == [10, 30]


@pytest.mark.parametrize(
    ("is_asked", "ran", "left"),
    [(False, [40], [(30, Left.PAUSED, 3)]), (True, [30, 40], [(20, Left.MISSED, 2)])],
)
def test_what_a_pause_left_out_runs_only_if_asked(is_asked, ran, left):
    """[T11]"""
    paused = ScheduleState(BEGIN, pause=SchedulePause("me", "", BEGIN))
    play = Play(rules(overlap=Overlap.ALLOW), state=paused)
    play.look()
    assert play.due_at is None
    play.now = BEGIN + 35
    play.take(catch_up_after_pause("s", play.rules, play.state, play.now, is_asked=is_asked))
    play.go_to(BEGIN + 41)
    assert nominals(play) == ran
    assert play.times_of(run_id="") == left


def test_max_runs_and_until_end_a_schedule():
    """[T11]"""
    for ends in (rules(max_runs=2, overlap=Overlap.ALLOW), rules(until=BEGIN + 25)):
        play = Play(replace(ends, overlap=Overlap.ALLOW))
        play.go_to(BEGIN + 100)
        assert nominals(play) == [10, 20]
        assert play.state.ended_at == BEGIN + 20
        assert play.due_at is None


def test_given_times_that_are_over_end_a_schedule():
    play = Play(Rules(at([BEGIN + 5])))
    play.go_to(BEGIN + 10)
    assert (nominals(play), bool(play.state.ended_at)) == ([5], True)


def test_what_nobody_declares_waits_a_minute_and_is_left_out_then():
    """[T16]"""
    play = Play(rules())
    play.now = BEGIN + 10
    play.look(is_declared=False)
    assert (play.runs, play.history, play.due_at) == ({}, [], play.now + PATIENCE_S)
    play.now += PATIENCE_S
    play.look(is_declared=False)
    assert play.times_of() == [(70, Left.BLOCKED, 7)]
    assert play.state.blocked_since == BEGIN + 10


def test_a_worker_that_starts_again_within_a_minute_makes_up_for_it():
    """[T16]"""
    play = Play(rules())
    play.now = BEGIN + 10
    play.look(is_declared=False)
    play.now += 20
    play.look()
    assert nominals(play) == [30]
    assert play.state.blocked_since == 0


def test_a_clock_that_jumps_back_fires_nothing_twice():
    """[T17]"""
    play = Play(rules(overlap=Overlap.ALLOW))
    play.go_to(BEGIN + 30)
    play.now = BEGIN
    play.look()
    assert play.due_at == BEGIN + 40
    assert nominals(play) == [10, 20, 30]


def test_all_missed_times_are_buffered_unless_said_otherwise():
    """The first of them would keep the rest out."""
    assert read_overlap(None, CatchUp.ALL) is Overlap.BUFFER_ALL
    assert read_overlap(None, CatchUp.LATEST) is Overlap.SKIP
    assert read_overlap("allow", CatchUp.ALL) is Overlap.ALLOW


moves = st.lists(
    st.one_of(
        st.tuples(st.just("pass"), st.integers(1, 60)),
        st.tuples(st.just("away"), st.integers(1, 200)),
        st.tuples(st.just("end"), st.sampled_from([LastRun.ENDED, LastRun.FAILED])),
        st.tuples(st.just("pause"), st.booleans()),
    ),
    max_size=30,
)


@given(
    moves, st.sampled_from(Overlap), st.sampled_from(CatchUp), st.sampled_from([0.0, 7.0]),
    st.sampled_from([0, 5]),
)  # fmt: skip
def test_whatever_happens_each_time_is_told_of_once(steps, overlap, catch_up, jitter_s, max_runs):
    """[T3] [T9] [T10] [T18] And no two runs at once, where the policy says so."""
    play = Play(rules(overlap=overlap, catch_up=catch_up, jitter_s=jitter_s, max_runs=max_runs))
    for move, how in steps:
        match move:
            case "pass":
                play.go_to(play.now + how)
            case "away":
                play.now += how
                play.look()
            case "end" if play.live:
                play.end(play.live[0], how)
            case "pause" if play.state.pause is None and not play.state.ended_at:
                pause = SchedulePause("me", "", play.now)
                play.state, play.due_at = replace(play.state, pause=pause), None
                play.now += 25
                play.take(catch_up_after_pause("s", play.rules, play.state, play.now, is_asked=how))
                play.go_to(play.now)
        if overlap is not Overlap.ALLOW:
            assert len(play.live) <= 1
    if not max_runs:
        told = sum(line.count for line in play.history) + len(play.state.buffer)
        assert told == (play.state.through - BEGIN) // 10
    assert len(play.state.buffer) <= (1 if overlap is not Overlap.BUFFER_ALL else MOST_BUFFERED)
    assert play.state.runs == len(play.runs)
    assert not max_runs or play.state.runs <= max_runs
    ran = nominals(play)
    assert ran == sorted(set(ran))
