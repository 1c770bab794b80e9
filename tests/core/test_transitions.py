"""
decide: the whole table, every state with every outcome, marked or not; who wins when two things
meet.
"""

import dataclasses
import itertools

import pytest

from stepflow.core.backoff import RetryPolicy
from stepflow.core.outcomes import (
    Cancel,
    CleanedUp,
    Continue,
    ContinueAsNew,
    ErrorInfo,
    Fail,
    HandBack,
    Lost,
    Outcome,
    Park,
    Pause,
    Postpone,
    Raised,
    Succeed,
    TryElsewhere,
    Yield,
)
from stepflow.core.run import ENDS, Cleanup, Run, RunState, StopKind, StopRequest
from stepflow.core.transition import TransitionKind
from stepflow.core.transitions import decide, decide_retry, decide_stop

NOW = 1000.0
POLICY = RetryPolicy(max_attempts=3, initial=10.0, jitter=False)
BOOM = ErrorInfo("ValueError", "boom")

#: every outcome there is, and what it makes of a running run that nobody wants to stop: kind and
#: state
UNMARKED = {
    Continue("p"): (TransitionKind.ADVANCE, "pending"),
    Continue("p", delay=5): (TransitionKind.ADVANCE, "scheduled"),
    Succeed("r"): (TransitionKind.FINISH, "succeeded"),
    Fail("why"): (TransitionKind.FINISH, "failed"),
    Cancel("own"): (TransitionKind.FINISH, "cancelled"),
    Raised(BOOM): (TransitionKind.HAND_OVER, "scheduled"),
    Raised(BOOM, retryable=False): (TransitionKind.FINISH, "failed"),
    Lost(): (TransitionKind.HAND_OVER, "pending"),
    HandBack(): (TransitionKind.HAND_OVER, "pending"),
    Park(): (TransitionKind.PARK, "waiting"),
    Yield(): (TransitionKind.HAND_OVER, "pending"),
    Pause("why"): (TransitionKind.PAUSE, "paused"),
    TryElsewhere("other", b"tried"): (TransitionKind.HAND_ON, "pending"),
    Postpone(60.0, "breaker b"): (TransitionKind.HAND_OVER, "scheduled"),
    ContinueAsNew("p"): (TransitionKind.ADVANCE, "pending"),
    CleanedUp(BOOM): (TransitionKind.FINISH, "failed"),
}
#: the same of a run that was asked to stop and needs a cleanup, which these outcomes are not
UNSAID = {
    Continue("p"): (TransitionKind.ADVANCE, "pending"),
    Succeed("r"): (TransitionKind.HAND_OVER, "pending"),
    ContinueAsNew("p"): (TransitionKind.HAND_OVER, "pending"),
    Lost(): (TransitionKind.HAND_OVER, "pending"),
    HandBack(): (TransitionKind.HAND_OVER, "pending"),
    Park(): (TransitionKind.HAND_OVER, "pending"),
    Park(knows_stop=True): (TransitionKind.PARK, "waiting"),
    Yield(): (TransitionKind.HAND_OVER, "pending"),
    Pause("why"): (TransitionKind.PAUSE, "paused"),
    TryElsewhere("other", b"tried"): (TransitionKind.HAND_ON, "pending"),
    Postpone(60.0, "breaker b"): (TransitionKind.HAND_OVER, "scheduled"),
}
MARKS = {
    "unmarked": None,
    "cancel": StopRequest(StopKind.CANCEL, "outside", 1.0),
    "deadline": StopRequest(StopKind.DEADLINE, "deadline", 1.0),
    "fail": StopRequest(StopKind.FAIL, "outside", 1.0),
}


def run(**changes):
    return dataclasses.replace(
        Run("a", "x", state=RunState.RUNNING, rev=7, step=4, token="w.1.", created_at=1.0),
        **changes,
    )


def test_every_outcome_is_in_the_table():
    known = {
        kind.__name__
        for kind in Outcome.__subclasses__()
        if kind.__module__ == "stepflow.core.outcomes"
    }
    assert known == {type(outcome).__name__ for outcome in UNMARKED}


@pytest.mark.parametrize("outcome", UNMARKED, ids=repr)
@pytest.mark.parametrize("mark", MARKS)
def test_a_running_step_ends_as_the_table_says(outcome, mark):
    """[C19] [C20] [C27]"""
    move = decide(run(stop=MARKS[mark]), 4, outcome, POLICY, NOW)
    wanted = UNMARKED[outcome]
    if mark != "unmarked" and not isinstance(outcome, Cancel | CleanedUp):
        wanted = (TransitionKind.FINISH, "cancelled" if mark == "cancel" else "failed")
    assert (move.kind, move.state) == wanted


@pytest.mark.parametrize(
    ("outcome", "mark", "state"), list(itertools.product(UNMARKED, MARKS, ENDS)), ids=repr
)
def test_a_finished_run_is_moved_by_nothing(outcome, mark, state):
    """[C13]"""
    ended = run(state=state, ended_at=5.0, stop=MARKS[mark])
    move = decide(ended, 4, outcome, POLICY, NOW)
    assert (move.kind, move.state) == (TransitionKind.DROP, state)


@pytest.mark.parametrize("outcome", UNMARKED, ids=repr)
@pytest.mark.parametrize("step", [3, 5])
def test_the_outcome_of_another_step_is_dropped(outcome, step):
    """[C13]"""
    assert decide(run(), step, outcome, POLICY, NOW).kind is TransitionKind.DROP


def test_what_is_no_outcome_is_a_mistake_of_ours():
    with pytest.raises(TypeError, match="which is no outcome"):
        decide(run(), 4, Outcome(), POLICY, NOW)


def test_decide_is_pure():
    before = run()
    first, *others = (decide(before, 4, Raised(BOOM), POLICY, NOW, spread=0.3) for _ in range(3))
    assert others == [first, first]
    assert before == run()


def test_continue_advances_by_one_step_with_its_payload_and_fresh_counts():
    """[C12]"""
    move = decide(run(failures=2, crashes=3), 4, Continue({"n": 1}), POLICY, NOW)
    assert (move.step, move.payload, move.due_at, move.failures, move.crashes) == (
        5,
        {"n": 1},
        None,
        0,
        0,
    )


def test_a_restart_advances_into_a_new_history_unless_the_time_of_the_run_is_up():
    """[F18]"""
    move = decide(run(failures=2), 4, ContinueAsNew({"n": 1}, 3), POLICY, NOW)
    assert (move.step, move.payload, move.due_at, move.failures, move.restarts) == (
        5,
        {"n": 1},
        None,
        0,
        3,
    )
    late = decide(run(deadline_at=NOW), 4, ContinueAsNew({"n": 1}, 3), POLICY, NOW)
    assert (late.kind, late.state) == (TransitionKind.FINISH, "failed")


@pytest.mark.parametrize(
    ("outcome", "due_at"),
    [
        (Continue(), None), (Continue(delay=0), None), (Continue(delay=2.5), NOW + 2.5),
        (Continue(at=NOW - 1), None), (Continue(at=NOW), None), (Continue(at=NOW + 1), NOW + 1),
    ],
)  # fmt: skip
def test_only_a_future_time_needs_the_due_set(outcome, due_at):
    """[C10]"""
    assert decide(run(), 4, outcome, POLICY, NOW).due_at == due_at


def test_an_end_carries_result_reason_or_error():
    """[C19]"""
    assert decide(run(), 4, Succeed(5), POLICY, NOW).result == 5
    fail = decide(run(), 4, Fail("why"), POLICY, NOW)
    assert (fail.error, fail.reason) == (ErrorInfo("Fail", "why"), "why")
    assert decide(run(), 4, Cancel("own"), POLICY, NOW).reason == "own"
    assert decide(run(), 4, Raised(BOOM, retryable=False), POLICY, NOW).error == BOOM


@pytest.mark.parametrize(
    ("failures", "kind"),
    [
        (0, TransitionKind.HAND_OVER),
        (1, TransitionKind.HAND_OVER),
        (2, TransitionKind.FINISH),
        (9, TransitionKind.FINISH),
    ],
)
def test_an_error_is_retried_while_attempts_are_left(failures, kind):
    """[C20]"""
    move = decide(run(failures=failures, crashes=1), 4, Raised(BOOM), POLICY, NOW)
    assert move.kind is kind
    if kind is TransitionKind.HAND_OVER:
        assert (move.failures, move.crashes, move.step, move.due_at) == (
            failures + 1,
            1,
            4,
            NOW + 10 * 2**failures,
        )


def test_an_error_may_ask_for_a_longer_wait_but_not_for_a_shorter_or_an_endless_one():
    """[C20]"""
    for after_s, wait_s in ((50.0, 50.0), (1.0, 10.0), (None, 10.0)):
        assert (
            decide(run(), 4, Raised(BOOM, retry_after_s=after_s), POLICY, NOW).due_at
            == NOW + wait_s
        )
    assert decide(run(), 4, Raised(BOOM, retry_after_s=float("inf")), POLICY, NOW).due_at < 1e11


def test_a_retry_without_a_wait_is_pending_at_once():
    move = decide(run(), 4, Raised(BOOM), RetryPolicy(initial=0, jitter=False), NOW)
    assert (move.state, move.due_at) == ("pending", None)


@pytest.mark.parametrize(
    ("crashes", "wait_s"), [(0, None), (1, 1.0), (2, 2.0), (3, 4.0), (9, 256.0)]
)
def test_lost_deliveries_are_counted_apart_and_back_off_from_the_second_on(crashes, wait_s):
    """[C22]"""
    move = decide(run(crashes=crashes, failures=2), 4, Lost(), POLICY, NOW)
    assert (move.kind, move.failures, move.crashes) == (TransitionKind.HAND_OVER, 2, crashes + 1)
    assert move.due_at == (None if wait_s is None else NOW + wait_s)


def test_too_many_losses_end_the_run_and_say_so():
    """[C22]"""
    move = decide(run(crashes=3), 4, Lost(), POLICY, NOW, max_crashes=3)
    assert (move.kind, move.state, move.error.type) == (
        TransitionKind.FINISH,
        "failed",
        "WorkerLost",
    )
    assert "lost with its worker 4 times, max_crashes is 3" in move.error.message


def test_a_step_handed_back_counts_nothing():
    """[C22]"""
    move = decide(run(failures=1, crashes=2), 4, HandBack(), POLICY, NOW)
    assert (move.failures, move.crashes, move.step, move.due_at) == (1, 2, 4, None)


@pytest.mark.parametrize("had", list(Cleanup))
def test_a_run_that_makes_room_stands_where_it_stood_and_keeps_its_cleanup(had):
    move = decide(
        run(failures=1, crashes=2, cleanup=had), 4, Yield(needs_cleanup=True), POLICY, NOW
    )
    assert (move.failures, move.crashes, move.step, move.due_at) == (1, 2, 4, None)
    assert move.cleanup is max(had, Cleanup.NEEDED)


@pytest.mark.parametrize("outcome", [Continue(), Raised(BOOM), Lost()], ids=repr)
@pytest.mark.parametrize(
    ("deadline_at", "is_over"), [(NOW - 1, True), (NOW, True), (NOW + 1, False), (0.0, False)]
)
def test_past_its_deadline_a_run_does_not_go_on(outcome, deadline_at, is_over):
    """[C23]"""
    move = decide(run(deadline_at=deadline_at), 4, outcome, POLICY, NOW)
    assert (move.error is not None and move.error.type == "DeadlineExceeded") is is_over


@pytest.mark.parametrize(
    "outcome", [Succeed(1), Fail("f"), Cancel("c"), Raised(BOOM, retryable=False)], ids=repr
)
def test_an_end_of_its_own_that_came_first_stands_although_the_deadline_has_passed(outcome):
    """[C23] Nobody had marked the run yet."""
    move = decide(run(deadline_at=NOW - 1), 4, outcome, POLICY, NOW)
    assert (move.kind, move.state) == (
        TransitionKind.FINISH,
        decide(run(), 4, outcome, POLICY, NOW).state,
    )


@pytest.mark.parametrize("kind", StopKind)
@pytest.mark.parametrize("state", ["scheduled", "pending", "waiting", "paused"])
def test_a_run_that_nobody_holds_ends_at_once(state, kind):
    """[C25] [C23]"""
    reason = "ValueError|why" if kind is StopKind.ERROR else "why"
    move = decide_stop(run(state=RunState(state), token=""), StopRequest(kind, reason, NOW))
    assert (move.kind, move.state) == (
        TransitionKind.FINISH,
        "cancelled" if kind is StopKind.CANCEL else "failed",
    )
    assert move.reason == ("deadline" if kind is StopKind.DEADLINE else "why")


@pytest.mark.parametrize("kind", StopKind)
def test_a_running_run_is_marked_once(kind):
    """[C26] [C28]"""
    stop = StopRequest(kind, "why", NOW)
    move = decide_stop(run(), stop)
    assert (move.kind, move.stop) == (TransitionKind.MARK, stop)
    assert (
        decide_stop(run(stop=stop), StopRequest(StopKind.CANCEL, "again", NOW)).kind
        is TransitionKind.DROP
    )


def test_a_marked_run_that_let_its_grace_pass_ends_without_its_worker_for_its_first_reason():
    """[C23] [C27]"""
    move = decide_stop(
        run(stop=MARKS["cancel"]), StopRequest(StopKind.DEADLINE, "", NOW), overdue=True
    )
    assert (move.kind, move.state, move.reason) == (TransitionKind.FINISH, "cancelled", "outside")


def test_grace_is_given_to_marked_runs_only():
    assert (
        decide_stop(run(), StopRequest(StopKind.DEADLINE, "", NOW), overdue=True).kind
        is TransitionKind.MARK
    )


@pytest.mark.parametrize("kind", [StopKind.CANCEL, StopKind.DEADLINE])
@pytest.mark.parametrize("state", ["scheduled", "waiting", "paused"])
def test_a_run_with_compensations_is_handed_over_once_more_for_its_cleanup(state, kind):
    """[F15]"""
    stop, waiting = (
        StopRequest(kind, "why", NOW),
        run(state=RunState(state), token="", cleanup=Cleanup.NEEDED, crashes=1),
    )
    move = decide_stop(waiting, stop)
    assert (move.kind, move.state, move.stop, move.step, move.crashes) == (
        TransitionKind.HAND_OVER,
        "pending",
        stop,
        4,
        1,
    )
    again = dataclasses.replace(waiting, stop=stop)
    assert decide_stop(again, stop, overdue=True).kind is TransitionKind.DROP


HARD = {"ends_at_timeout": True, "deadline_at": NOW}
TIME_UP = StopRequest(StopKind.DEADLINE, "deadline", NOW)


@pytest.mark.parametrize("cleanup", [Cleanup.NONE, Cleanup.NEEDED])
@pytest.mark.parametrize("state", ["scheduled", "pending", "waiting", "paused"])
def test_a_timeout_that_undoes_nothing_ends_a_run_that_waits(state, cleanup):
    """[K21]"""
    waiting = run(state=RunState(state), token="", cleanup=cleanup, **HARD)
    move = decide_stop(waiting, TIME_UP)
    assert (move.kind, move.state, move.reason) == (TransitionKind.FINISH, "failed", "deadline")


def test_a_timeout_that_undoes_nothing_marks_a_run_at_work_and_then_ends_it():
    """[K21]"""
    working = run(cleanup=Cleanup.NEEDED, **HARD)
    assert decide_stop(working, TIME_UP).kind is TransitionKind.MARK
    told = dataclasses.replace(working, stop=TIME_UP)
    assert decide_stop(told, TIME_UP, overdue=True).kind is TransitionKind.FINISH
    for outcome in (Succeed(1), Continue(1), Park(None, 0, "signal"), Raised(BOOM), Lost()):
        move = decide(told, 4, outcome, POLICY, NOW)
        assert (move.kind, move.reason) == (TransitionKind.FINISH, "deadline"), outcome


@pytest.mark.parametrize("outcome", [Continue(1), Lost(), Raised(BOOM), Fail("no")])
def test_past_such_a_timeout_no_end_cleans_up(outcome):
    """[K21] Nobody had marked the run yet."""
    move = decide(run(cleanup=Cleanup.NEEDED, **HARD), 4, outcome, POLICY, NOW)
    assert (move.kind, move.state) == (TransitionKind.FINISH, "failed")


@pytest.mark.parametrize(
    "more",
    [
        {"cleanup": Cleanup.STARTED},
        {"cleanup": Cleanup.NEEDED, "stop": StopRequest(StopKind.CANCEL, "enough", NOW)},
    ],
)
def test_what_undoes_already_goes_on_past_such_a_timeout(more):
    """[K21]"""
    undoing = run(**HARD, **more)
    assert decide_stop(undoing, TIME_UP, overdue=True).kind is not TransitionKind.FINISH
    waits = dataclasses.replace(undoing, state=RunState.WAITING, token="")
    assert decide_stop(waits, TIME_UP, overdue=True).kind is not TransitionKind.FINISH


@pytest.mark.parametrize("state", ["pending", "running"])
def test_a_run_with_a_cleanup_that_is_on_its_way_is_only_marked(state):
    """[F15]"""
    stop = StopRequest(StopKind.CANCEL, "why", NOW)
    assert (
        decide_stop(run(state=RunState(state), token="", cleanup=Cleanup.NEEDED), stop).kind
        is TransitionKind.MARK
    )


@pytest.mark.parametrize("state", ["scheduled", "pending", "waiting", "paused"])
def test_failing_by_hand_waits_for_no_cleanup_and_for_no_worker_that_was_told_already(state):
    """[F5]"""
    stop = StopRequest(StopKind.FAIL, "why", NOW)
    move = decide_stop(run(state=RunState(state), token="", cleanup=Cleanup.NEEDED), stop)
    assert (move.kind, move.state, move.reason) == (TransitionKind.FINISH, "failed", "why")
    assert decide_stop(run(cleanup=Cleanup.NEEDED), stop).kind is TransitionKind.MARK
    assert (
        decide_stop(run(cleanup=Cleanup.NEEDED, stop=MARKS["cancel"]), stop).kind
        is TransitionKind.FINISH
    )


@pytest.mark.parametrize("mark", ["cancel", "deadline"])
@pytest.mark.parametrize("outcome", UNSAID, ids=repr)
def test_what_a_stopped_run_does_before_its_cleanup_goes_on(outcome, mark):
    """[F15]"""
    late = run(stop=MARKS[mark], cleanup=Cleanup.STARTED, deadline_at=NOW - 1)
    move = decide(late, 4, outcome, POLICY, NOW)
    assert (move.kind, move.state) == UNSAID[outcome]


@pytest.mark.parametrize(
    ("mark", "state"), [("cancel", "cancelled"), ("deadline", "failed"), ("fail", "failed")]
)
def test_a_park_that_crossed_a_stop_is_handed_over_again_when_its_finally_blocks_have_steps(
    mark, state
):
    """
    [F16] The record does not know yet that the run needs a cleanup; the park that was refused does.
    """
    park = Park(needs_cleanup=True)
    move = decide(run(stop=MARKS[mark]), 4, park, POLICY, NOW)
    assert (move.kind, move.state) == (TransitionKind.HAND_OVER, "pending")
    assert decide(run(stop=MARKS[mark]), 4, Park(), POLICY, NOW).state == state


@pytest.mark.parametrize(
    ("mark", "state"), [("cancel", "cancelled"), ("deadline", "failed"), ("fail", "failed")]
)
def test_the_end_of_a_cleanup_ends_the_run_as_it_was_asked_to(mark, state):
    """[F15]"""
    move = decide(
        run(stop=MARKS[mark], cleanup=Cleanup.STARTED), 4, CleanedUp(errors=(BOOM,)), POLICY, NOW
    )
    assert (move.kind, move.state, move.errors) == (TransitionKind.FINISH, state, (BOOM,))


def test_a_run_that_failed_and_was_then_asked_to_stop_ends_by_its_failure():
    """[F15]"""
    move = decide(
        run(stop=MARKS["cancel"], cleanup=Cleanup.STARTED), 4, CleanedUp(BOOM), POLICY, NOW
    )
    assert (move.state, move.error) == ("failed", BOOM)


def test_a_stopped_run_that_keeps_killing_its_workers_ends_without_its_cleanup():
    move = decide(
        run(stop=MARKS["cancel"], cleanup=Cleanup.NEEDED, crashes=10), 4, Lost(), POLICY, NOW
    )
    assert (move.kind, move.state) == (TransitionKind.FINISH, "cancelled")


def test_a_run_whose_compensations_have_begun_is_not_retried():
    """[F3] [F15]"""
    move = decide_retry(run(state=RunState.FAILED, cleanup=Cleanup.STARTED))
    assert move.kind is TransitionKind.DROP
    assert "undone" in move.why


@pytest.mark.parametrize("state", ENDS)
def test_a_finished_run_is_not_stopped(state):
    """[C28]"""
    assert (
        decide_stop(run(state=state, ended_at=5.0, token=""), StopRequest(StopKind.CANCEL)).kind
        is TransitionKind.DROP
    )


@pytest.mark.parametrize("state", RunState)
def test_only_a_failed_run_can_be_retried(state):
    """[C21]"""
    move = decide_retry(run(state=state, failures=3))
    assert (move.kind is TransitionKind.RETRY) is (state == "failed")
    assert move.step == 4
