"""Sentences about the state of a run."""

import pytest

from stepflow.core.run import ENDS, RunState
from stepflow.errors import stands

SAID = {"succeeded": "has succeeded", "failed": "has failed", "cancelled": "was cancelled"}


@pytest.mark.parametrize("state", RunState)
def test_a_state_is_said_as_the_verb_of_a_sentence(state):
    assert stands(state) == (SAID[state] if state in ENDS else f"is {state}")
