"""timeline: what a run has done, step by step, and what it is doing."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from stepflow.core.ids import question_digest
from stepflow.core.run import Run, RunState, RunStatus
from stepflow.core.step_record import Attempts
from stepflow.core.under_way import UnderWay
from stepflow.engine.env import Env
from stepflow.engine.questions import Question, read_question
from stepflow.engine.status import status_of, with_progress
from stepflow.engine.timeline.entries import JournalReader, begin_step
from stepflow.engine.timeline.model import (
    EVERY_CHILD,
    StepKind,
    StepState,
    StepStatus,
    Timeline,
    Trace,
)
from stepflow.engine.timeline.prompts import prompts_at
from stepflow.engine.timeline.records import WORKFLOW_OUTCOMES, present_step, steps_of_runner
from stepflow.engine.user_code.schema.examples import example_of
from stepflow.errors import RunNotFound, StepflowError
from stepflow.store.calls import batch, batch_of
from stepflow.store.children import load_maps
from stepflow.store.journal import look_at_journal
from stepflow.store.questions import load_questions
from stepflow.store.runs import load_data, load_run, load_steps
from stepflow.store.values.codec import unpack
from stepflow.times import as_datetime

#: children whose states are looked up
MOST_CHILDREN = 200
#: the parts of what a parked run says that it waits for
_WAITS = re.compile(
    r", (?=(?:signal|sleep|child|map|children|step|batch) |an answer to |the end of )"
)


async def timeline(run_id: str, env: Env) -> Timeline:
    """
    Read what a run has done and what it is doing; raises RunNotFound.

    Reads only what is there: a step in its first attempt is known to its worker alone until that
    has taken a third of a lease, 5 s; before that it has no name here.
    """
    return timeline_of(await trace(run_id, env))


def timeline_of(read: Trace) -> Timeline:
    """Give the steps of a run that was read: those of a runner are its attempts."""
    ended = [] if read.is_workflow else steps_of_runner(read.run, read.attempts)
    return Timeline(
        read.run, [*ended, *read.steps], is_workflow=read.is_workflow, restarts=read.restarts
    )


async def trace(run_id: str, env: Env) -> Trace:
    """Read what the timeline of a run is made of; raises RunNotFound."""
    run, data, journal, records = await batch(
        load_run(env.keys, run_id), load_data(env.keys, run_id), look_at_journal(env.keys, run_id),
        load_steps(env.keys, run_id),
    )  # fmt: skip
    if run is None:
        raise RunNotFound(run_id)
    return await trace_of(run, data, journal, Attempts(records), env)


async def trace_of(
    run: Run, data: Mapping[bytes, bytes], journal: Sequence[bytes], tried: Attempts, env: Env
) -> Trace:
    """Make a trace of what was read of a run; children and others are looked up."""
    status = await with_progress(status_of(run, data), run, env)
    told = _told(run, data)
    is_workflow = (
        bool(journal) or run.state is RunState.WAITING or bool(tried.outcomes() & WORKFLOW_OUTCOMES)
    )
    if not is_workflow:
        steps = present_step(run, status, tried, told)
        return Trace(status, steps, tried, is_workflow=False)
    reader = JournalReader(run)
    reader.read(journal)
    steps = reader.steps
    if run.is_finished:
        steps = [_closed(step) for step in steps]
    else:
        steps = await _with_questions(steps, run, reader.restarts, env)
        steps = _under_way(_with_waits(steps, run), run, status, told, env.clock.now())
        steps = await _with_maps(steps, run, env)
    steps = await _with_prompts(steps, run, reader.restarts, env)
    children = await _children(steps, env)
    ends = {child.id: child.ended_at for child in children.values() if child.ended_at}
    steps = [_with_child(step, children) for step in steps]
    return Trace(status, steps, tried, is_workflow=True, restarts=reader.restarts, child_ends=ends)


def _told(run: Run, data: Mapping[bytes, bytes]) -> Sequence[UnderWay]:
    """Read what the worker of a run has said that it is doing for it."""
    try:
        return UnderWay.read_all(unpack(data.get(b"doing", b"\xc0")), run.token)
    except StepflowError:
        return []


def _closed(step: StepStatus) -> StepStatus:
    """Close a step that was open when its run ended; a child lives on or ends by itself."""
    if not step.is_open or step.kind in {StepKind.CHILD, StepKind.MAP}:
        return step
    return replace(step, state=StepState.CANCELLED, until=None)


async def _with_questions(
    steps: Sequence[StepStatus], run: Run, restarts: int, env: Env
) -> list[StepStatus]:
    """Put the open questions in, those with a time limit where the journal has that."""
    row: Mapping[bytes, bytes] = await load_questions(env.keys, run.id)
    waiting = {
        digest.decode("utf-8", "replace"): packed for digest, packed in row.items() if digest
    }
    found = list(steps)
    for index, step in enumerate(found):
        if step.kind is StepKind.QUESTION and step.is_open and step.place is not None:
            digest = question_digest(run.id, run.generation, restarts, step.place)
            if (packed := waiting.pop(digest, None)) is not None:
                found[index] = _asking(read_question(run.id, digest, packed), step.place)
    rest = [_asking(read_question(run.id, digest, packed)) for digest, packed in waiting.items()]
    return [*found, *rest]


async def _with_prompts(
    steps: Sequence[StepStatus], run: Run, restarts: int, env: Env
) -> list[StepStatus]:
    """Name settled questions by what they asked, as far as it was kept."""
    settled = {
        step.place: index
        for index, step in enumerate(steps)
        if step.kind is StepKind.QUESTION and not step.is_open and step.place is not None
    }
    found = list(steps)
    for place, packed in (await prompts_at(run, settled, restarts, env)).items():
        found[settled[place]] = replace(found[settled[place]], name=_prompt(packed))
    return found


def _prompt(packed: bytes) -> str:
    try:
        return str(unpack(packed))
    except StepflowError as error:
        return f"<what it asked cannot be read: {error}>"


def _asking(question: Question, place: str | None = None) -> StepStatus:
    return StepStatus(
        StepKind.QUESTION, question.prompt, StepState.WAITING, 1, question.asked_at,
        until=question.until, token=question.token, place=place,
        example=example_of(question.schema) or None,
    )  # fmt: skip


def _with_waits(steps: Sequence[StepStatus], run: Run) -> list[StepStatus]:
    """Put in the signals that a parked run waits for without a time limit."""
    found = list(steps)
    if run.state is not RunState.WAITING:
        return found
    known = {step.name for step in steps if step.kind is StepKind.SIGNAL and step.is_open}
    for wait in _WAITS.split(run.waits_for):
        what, _, rest = wait.partition(" ")
        if what == "signal" and (name := _signal_names(rest)) not in known:
            since = as_datetime(run.updated_at)
            found.append(StepStatus(StepKind.SIGNAL, name, StepState.WAITING, 1, since))
        elif what == "children":
            found.append(StepStatus(StepKind.CHILD, EVERY_CHILD, StepState.WAITING))
    return found


def _signal_names(words: str) -> str:
    """Give the names of a signal that is waited for, as the journal joins them."""
    return ",".join(re.findall(r"'([^']*)'", words)) or words


def _under_way(
    steps: Sequence[StepStatus],
    run: Run,
    status: RunStatus,
    told: Sequence[UnderWay],
    now: float,
) -> list[StepStatus]:
    """
    Say what a claimed run is doing: what its worker has told, the attempts that are due.

    Else something that is not known yet, and about as old as the last thing that is.
    """
    if not run.is_claimed:
        return list(steps)
    found, worker = list(steps), status.worker
    places = {step.place: index for index, step in enumerate(found) if step.place is not None}
    for attempt in told:
        index = places.get(attempt.place)
        began_at = as_datetime(attempt.began_at)
        if index is None:
            begun = begin_step(attempt.place, attempt.name, began_at)
            found.append(replace(begun, attempt=attempt.attempt, worker=worker))
        elif found[index].is_open:
            found[index] = replace(
                found[index], state=StepState.RUNNING, attempt=attempt.attempt, worker=worker
            )
    at = as_datetime(now)
    for index, step in enumerate(found):
        is_tried_again = step.state is StepState.RETRYING or (
            step.kind is StepKind.STEP and step.state is StepState.WAITING
        )
        if is_tried_again and step.until and at and step.until <= at:
            found[index] = replace(step, state=StepState.RUNNING, worker=worker)
    if any(step.state is StepState.RUNNING for step in found):
        return found
    ends = [step.ended_at for step in steps if step.ended_at is not None]
    since = max(ends, default=as_datetime(run.started_at))
    return [*found, StepStatus(StepKind.STEP, "", StepState.RUNNING, 1, since, worker=worker)]


async def _with_maps(steps: Sequence[StepStatus], run: Run, env: Env) -> list[StepStatus]:
    """Put in how far the maps have come that are not settled."""
    if not any(step.kind is StepKind.MAP and step.is_open for step in steps):
        return list(steps)
    row = await load_maps(env.keys, run)

    def ended(group_id: str | None) -> int:
        counts = [row.get(f"{group_id}.{what}".encode(), b"") for what in ("ok", "bad")]
        return sum(int(count) for count in counts if count.isdigit())

    return [
        replace(step, done=ended(step.run_id))
        if step.kind is StepKind.MAP and step.is_open
        else step
        for step in steps
    ]


async def _children(steps: Sequence[StepStatus], env: Env) -> dict[str, Run]:
    """Read the children that a run has begun; of many, those that are not over come first."""
    ids = [step.run_id for step in sorted(steps, key=_is_over) if _is_child(step)]
    known = [run_id for run_id in ids if run_id][:MOST_CHILDREN]
    runs = await batch_of([load_run(env.keys, run_id) for run_id in known]) if known else []
    return {run.id: run for run in runs if run is not None}


def _is_child(step: StepStatus) -> bool:
    return step.kind is StepKind.CHILD and step.run_id is not None


def _is_over(step: StepStatus) -> bool:
    return not step.is_open


def _with_child(step: StepStatus, children: Mapping[str, Run]) -> StepStatus:
    """Put in the state of a child whose end the run has not taken in."""
    child = children.get(step.run_id or "") if _is_child(step) and step.is_open else None
    return step if child is None else _of_child(step, child)


def _of_child(step: StepStatus, child: Run) -> StepStatus:
    is_stopping = child.stop is not None and not child.is_finished
    state = StepState.CANCELLING if is_stopping else StepState(child.state.value)
    return replace(step, state=state, ended_at=as_datetime(child.ended_at))
