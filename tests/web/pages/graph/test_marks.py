"""What a run has done of its graph, by its history [M7]."""

from __future__ import annotations

import dataclasses

from stepflow import StepKind, StepState, StepStatus
from stepflow.core.graphs import Edge, Graph, Mark, Node, NodeKind
from stepflow.web.pages.graph.marks import marks_of
from tests.web.pages.timeline.made import of_workflow

LOAN = Graph(
    (
        Node("check"), Node("pick", kind=NodeKind.CHOICE), Node("again", kind=NodeKind.CHOICE),
        Node("ask"), Node("done", kind=NodeKind.END),
    ),
    tuple(
        Edge(*way)
        for way in (
            ("check", "pick"), ("pick", "again"), ("again", "ask"), ("pick", "done"),
            ("ask", "check"), ("ask", "done"),
        )
    ),
    ("check",),
)  # fmt: skip


def entered(*labels, **run):
    steps = [StepStatus(StepKind.STATE, label, StepState.SUCCEEDED) for label in labels]
    return of_workflow(*steps, **run)


def test_a_machine_is_in_the_state_that_it_entered_last():
    """[M7] The choices on its way leave no trace; they are marked where there is one way alone."""
    marks = marks_of(LOAN, entered("check", "ask", "check", "ask", state="running"))
    assert marks.nodes == {
        "check": Mark.DONE, "pick": Mark.DONE, "again": Mark.DONE, "ask": Mark.NOW,
    }  # fmt: skip
    assert marks.ways == {
        ("check", "pick"), ("pick", "again"), ("again", "ask"), ("ask", "check"),
    }  # fmt: skip
    assert marks.visits == {"check": 2, "ask": 2}


def test_a_machine_that_ended_is_done_or_has_failed_where_it_stood():
    """[M7]"""
    marks = marks_of(LOAN, entered("check", "done", state="succeeded"))
    assert marks.nodes["done"] is Mark.DONE
    assert ("pick", "done") in marks.ways
    assert marks_of(LOAN, entered("check", "ask", state="failed")).nodes["ask"] is Mark.FAILED


def test_two_ways_by_choices_are_not_told_apart():
    """[M7] Which choice was made is not in the history, so none is marked."""
    two = dataclasses.replace(LOAN, edges=(*LOAN.edges, Edge("check", "again")))
    marks = marks_of(two, entered("check", "ask", state="running"))
    assert set(marks.nodes) == {"check", "ask"}


def test_steps_are_marked_by_their_keys_or_names():
    """[M7]"""
    graph = Graph(
        tuple(map(Node, "abcd")), (Edge("a", "b"), Edge("a", "c"), Edge("b", "d"), Edge("c", "d"))
    )
    steps = [
        StepStatus(StepKind.STEP, "load", StepState.SUCCEEDED, key="a"),
        StepStatus(StepKind.STEP, "b", StepState.FAILED),
        StepStatus(StepKind.QUESTION, "c", StepState.WAITING),
        StepStatus(StepKind.STEP, "elsewhere", StepState.SUCCEEDED),
    ]
    marks = marks_of(graph, of_workflow(*steps, state="running"))
    assert marks.nodes == {"a": Mark.DONE, "b": Mark.FAILED, "c": Mark.NOW, "d": Mark.BLOCKED}
    assert marks.ways == {("a", "b"), ("a", "c")}


def test_a_run_without_a_history_has_no_marks():
    assert not marks_of(LOAN, of_workflow(state="pending")).nodes
