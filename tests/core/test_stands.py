"""Sentences about the state of a run."""

import pytest

from stepflow.core.run import RunState
from stepflow.errors import stands

SAID = {"succeeded": "has succeeded", "failed": "has failed"}


@pytest.mark.parametrize("state", RunState)
def test_a_state_is_said_as_the_verb_of_a_sentence(state):
    assert stands(state) == SAID.get(state, f"is {state}")
