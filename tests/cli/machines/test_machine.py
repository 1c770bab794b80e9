"""`stepflow machine`: the graph of a machine; `stepflow show` says where a run of it is."""

import json
from datetime import UTC, datetime

from stepflow import StepKind, StepState, StepStatus
from stepflow.cli.look.words import told

APP = "tests.kits.machine.loans:app"


def test_a_machine_is_drawn_for_mermaid(run):
    """[M7]"""
    shown = run("machine", APP, "loan", "--mermaid")
    assert shown.stdout.splitlines() == [
        "stateDiagram-v2",
        '    state "validate" as s0',
        '    state "score<br/>split: bureau, history; join settled()" as s1',
        "    state s2 <<choice>>",
        '    state "review<br/>asks: Grant it?" as s3',
        '    state "done" as s4',
        '    state "rejected" as s5',
        "    [*] --> s0",
        "    s0 --> s1",
        "    s0 --> s5",
        "    s1 --> s2",
        "    s2 --> s3",
        "    s2 --> s4",
        "    s3 --> s4",
        "    s3 --> s5",
        "    s4 --> [*]",
        "    s5 --> [*]",
    ]
    assert run("machine", APP, "loan").stdout == shown.stdout


def test_a_machine_is_drawn_for_graphviz(run):
    """[M7]"""
    lines = run("machine", APP, "loan", "--dot").stdout.splitlines()
    assert lines[0] == 'digraph "loan" {'
    assert '    "route" [label="route\\nrouter", shape=diamond];' in lines
    assert '    "done" [label="done", peripheries=2];' in lines
    assert '    "validate" -> "rejected";' in lines
    assert lines[-1] == "}"


def test_a_machine_is_data_with_json(run):
    """[M7]"""
    told = json.loads(run("machine", APP, "loan", "--json").stdout)
    assert (told["start"], told["ends"]) == ("validate", ["done", "rejected"])
    assert ["score", "route"] in told["ways"]


def test_a_machine_that_is_not_there_is_named(run):
    """[M7]"""
    shown = run("machine", APP, "laon")
    assert (shown.exit_code, "has no machine laon" in shown.stderr) == (5, True)
    assert "loan" in shown.stderr
    assert run("machine", APP, "loan", "--version", "2").exit_code == 5


def test_a_visit_of_a_state_is_told_in_words():
    """[M1]"""
    now = datetime.now(UTC)
    for visit, words in ((1, "entered state 'review'"), (2, "entered state 'review', visit 2")):
        step = StepStatus(StepKind.STATE, "review", StepState.SUCCEEDED, value=visit)
        assert told(step, now) == words
