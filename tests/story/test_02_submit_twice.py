"""Submitting is idempotent: the same run id, runner and input are the same run."""

import pytest

from stepflow.errors import RunConflict


def test_the_same_submit_again_finds_the_run_that_is_there(client):
    """[C3]"""
    first = client.submit("charge", {"order": 17}, run_id="order-17")
    again = client.submit("charge", {"order": 17}, run_id="order-17")
    assert (first.created, again.created, again.id) == (True, False, "order-17")


def test_other_input_under_the_same_id_is_a_conflict(client):
    """[C3]"""
    client.submit("charge", {"order": 17}, run_id="order-17")
    with pytest.raises(
        RunConflict, match="run 'order-17' is pending with a different input; pick another run id"
    ):
        client.submit("charge", {"order": 18}, run_id="order-17")
