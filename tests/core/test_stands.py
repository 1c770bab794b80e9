"""Sentences about the state of a run."""

import pytest

from stepflow.core.run import ENDS, RunState
from stepflow.errors import RunConflict, stands

SAID = {"succeeded": "has succeeded", "failed": "has failed"}


@pytest.mark.parametrize("state", RunState)
def test_a_state_is_said_as_the_verb_of_a_sentence(state):
    assert stands(state) == SAID.get(state, f"is {state}")


@pytest.mark.parametrize("state", RunState)
def test_a_conflict_says_to_wait_only_for_what_has_not_ended(state):
    said = str(RunConflict("a", "input", state))
    assert ("wait for its end" in said) == (state not in ENDS)
    assert "--restart" in said
