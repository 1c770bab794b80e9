"""The table of buttons."""

from __future__ import annotations

import shlex

import click
import pytest

from stepflow.cli.main import cli
from stepflow.core.run import RunState, RunStatus
from stepflow.web import Grant
from stepflow.web.pages.actions import ACTIONS, possible


@pytest.mark.parametrize("action", ACTIONS.values(), ids=lambda each: each.verb)
def test_the_command_line_of_a_button_is_one(action):
    """What a button shows to be typed is understood."""
    program, *words = shlex.split(action.write("some-target"))
    assert program == "stepflow"
    command: click.Command = cli
    context = click.Context(cli, info_name="stepflow")
    while isinstance(command, click.Group):
        name = words.pop(0)
        found = command.get_command(context, name)
        assert found is not None, name
        command = found
    command.make_context(command.name, words, parent=context)


@pytest.mark.parametrize("action", ACTIONS.values(), ids=lambda each: each.verb)
def test_the_fields_of_a_button_are_those_of_its_operation(action):
    taken = action.operation.body
    names = set() if taken is None else set(taken.model_fields)
    assert {field.name for field in action.fields} <= names
    needed = (
        {name for name, field in taken.model_fields.items() if field.is_required()}
        if taken
        else set()
    )
    assert {field.name for field in action.fields if field.is_needed} >= needed


@pytest.mark.parametrize("state", RunState)
def test_a_run_has_the_buttons_of_its_state_and_of_who_looks(state):
    run = RunStatus("r1", "order", state, is_workflow=True)
    verbs = {action.verb for action in possible(run, Grant("all"))}
    assert ("delete" in verbs) == run.is_finished
    assert ("retry" in verbs) == (state == "failed")
    assert ("resume" in verbs) == (state == "paused")
    assert ("fail" in verbs) == (not run.is_finished)
    assert list(possible(run, Grant("read"))) == []
    assert {action.verb for action in possible(run, Grant({"cancel"}))} <= {"cancel"}
