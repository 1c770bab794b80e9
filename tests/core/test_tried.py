"""Whose code was tried on a run that did not fit it."""

from stepflow.core.tried import MOST_TRIED, Trial, Tried

OLD, NEW = Trial("old", "w1", "this differs"), Trial("new", "w2", "that differs")


def test_builds_that_were_not_tried_are_left():
    assert Tried().left({"old", "new"}) == ["new", "old"]
    assert Tried([OLD]).left({"old", "new"}) == ["new"]
    assert Tried([OLD, NEW]).left({"old", "new"}) == []
    assert Tried([OLD]).left(set()) == []


def test_a_build_that_is_tried_again_counts_once_and_its_worker_is_named_once():
    again = Trial("old", "w3", "this differs")
    tried = Tried().with_trial(OLD).with_trial(NEW).with_trial(again)
    assert tried.trials == [NEW, again]
    assert tried.workers == "w2, w3"


def test_a_run_remembers_so_many_builds_and_forgets_the_first():
    tried = Tried()
    for number in range(MOST_TRIED + 1):
        tried = tried.with_trial(Trial(str(number), "w", "no"))
    assert len(tried.trials) == MOST_TRIED
    assert tried.left({"0", "1"}) == ["0"]
