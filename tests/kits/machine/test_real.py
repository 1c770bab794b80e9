"""Machines on a real server: what is shown of them, what they cost, and whom."""

from __future__ import annotations

import asyncio
import re
from enum import StrEnum, auto
from typing import Any

import pytest
from click.testing import CliRunner

from stepflow import (
    Context,
    InvalidOption,
    Machine,
    MachineResult,
    NameTaken,
    Stepflow,
)
from stepflow.cli.main import cli
from stepflow.engine.user_code.build import build_of
from stepflow.kits.flow.replayer import check_history
from stepflow.testing import Harness
from tests.kits.machine import loans
from tests.support import loaded, until


class State(StrEnum):
    SCORE = auto()
    WAIT = auto()
    DONE = auto()


async def test_a_machine_runs_waits_and_ends(
    app: Any, aclient: Any, working: Any, url: str
) -> None:
    """[M1] [M6] Its state is known from outside, with the time since when, and the way it took."""
    app.machine(loans.loan)
    async with working(app):
        run = await aclient.submit("loan", loans.Loan(500))

        async def asking() -> Any:
            return await aclient.questions()

        [question] = await until(asking)
        timeline = await aclient.steps(run.id)
        assert (timeline.entered.name, timeline.entered.value) == ("review", 1)
        assert timeline.entered.started_at >= timeline.run.created_at
        verb = ["--redis-url", url, "show", run.id]
        shown = (await asyncio.to_thread(CliRunner().invoke, cli, verb)).stdout
        assert re.search(r"^at +review since ", shown, re.MULTILINE)
        assert re.search(r"^state +score +succeeded", shown, re.MULTILINE)
        await aclient.answer(question.token, True)
        assert await run.result() == {"state": "done", "data": {"amount": 500, "score": 505}}
        timeline = await aclient.steps(run.id)
    assert [(step.kind, step.name) for step in timeline] == [
        ("state", "validate"), ("step", "validate"), ("state", "score"), ("step", "score[0]"),
        ("step", "score[1]"), ("state", "review"), ("question", "Grant it?"), ("step", "review"),
        ("state", "done"),
    ]  # fmt: skip


async def test_the_input_of_a_machine_is_checked(app: Any, aclient: Any, working: Any) -> None:
    """[M4]"""
    app.machine(loans.loan)
    async with working(app):
        run = await aclient.submit("loan", {"amount": "much"})
        status = await run.wait()
    assert (status.state, status.error.type) == ("failed", "PayloadMismatch")
    assert "amount" in status.error.message


async def test_who_submits_cannot_choose_where_a_machine_begins(
    app: Any, aclient: Any, working: Any
) -> None:
    """[M4] Not by the input that a run has which continued as new: it led past what asks people."""
    app.machine(loans.loan)
    async with working(app):
        run = await aclient.submit("loan", {"stepflow.machine": ["done", {"amount": 1}, {}, None]})
        status = await run.wait()
    assert (status.state, status.error.type) == ("failed", "PayloadMismatch")
    assert "only a run that continues as new begins where it stood" in status.error.message


async def test_a_machine_is_submitted_itself_and_its_result_has_its_types(
    app: Any, aclient: Any, working: Any
) -> None:
    """[M4] By its name the result is plain."""
    machine = app.machine(loans.loan)
    async with working(app):
        handle = await aclient.submit(machine, loans.Loan(50), run_id="a")
        assert await handle.result() == MachineResult(loans.State.DONE, loans.Loan(50))
        plain = await aclient.submit("loan", loans.Loan(50), run_id="a")
        assert await plain.result() == {"state": "done", "data": {"amount": 50, "score": 0}}
    done = loans.State.DONE
    unknown = Machine("unknown", loans.State, start=done, ends={done}, data=loans.Loan)
    with pytest.raises(InvalidOption, match="machine 'unknown' is not registered"):
        await aclient.submit(unknown, loans.Loan(1))


def test_a_machine_has_its_name_and_version_for_itself() -> None:
    """[M3] Versions are as for workflows."""
    app = Stepflow("redis://localhost:1")
    app.machine(loans.loan)
    with pytest.raises(NameTaken):
        app.machine(loans.loan)
    assert list(app.registry.graphs) == ["loan"]


def test_the_build_of_a_machine_is_made_of_your_code() -> None:
    """[M3] Another function in a state, or another way, makes another build."""
    builds = set()
    for change in ("", "function", "way"):
        app = Stepflow("redis://localhost:1")
        machine = app.machine(loans.loan)
        form = machine.forms["validate"]
        before = form.function, form.to
        if change == "function":
            form.function = lambda loan: loans.State.SCORE
        if change == "way":
            form.to = ("score", "rejected", "validate")
        app = Stepflow("redis://localhost:1")
        app.machine(machine)
        builds.add(build_of(app.registry.runners["loan"].run))
        form.function, form.to = before
    assert len(builds) == 3


async def test_a_machine_writes_what_a_workflow_writes_and_has_no_key_of_its_own(
    app: Any, aclient: Any, working: Any, real: Any
) -> None:
    """[M1] All that is said to the server of a run of either kind."""
    app.machine(loans.loan)

    @app.workflow("flow")
    async def flow(ctx: Context, amount: int) -> int:
        return await ctx.step("one", int, amount)

    async def told_of(name: str, payload: Any) -> set[str]:
        with real.monitor() as monitor:
            run = await aclient.submit(name, payload)
            await run.result()
            real.echo("over")
            lines = list(iter(lambda: monitor.next_command()["command"], "ECHO over"))
        words = (word for line in lines for word in line.split(" "))
        return {word.replace(run.id, "ID") for word in words if f"run:{run.id}" in word}

    async with working(app):
        of_machine = await told_of("loan", loans.Loan(5))
        of_workflow = await told_of("flow", 5)

    def keys(words: set[str]) -> set[str]:
        return {word for word in words if re.fullmatch(r"stepflow:run:ID(:[a-z]+)?", word)}

    assert keys(of_machine) == keys(of_workflow) >= {"stepflow:run:ID", "stepflow:run:ID:journal"}


async def test_a_cancel_and_a_deadline_undo_what_was_done(
    app: Any, aclient: Any, working: Any
) -> None:
    """[M8]"""
    undone: list[str] = []
    machine = Machine("slow", State, start=State.SCORE, ends={State.DONE}, data=loans.Loan)

    @machine.state(State.SCORE, to=State.WAIT, compensate=lambda loan: undone.append("score"))
    async def score(loan: loans.Loan) -> State:
        return State.WAIT

    machine.timer(State.WAIT, 3600, to=State.DONE)
    app.machine(machine)
    async with working(app):
        late = await aclient.submit("slow", loans.Loan(1), timeout=0.3)
        assert (await late.wait(60)).state == "failed"
        assert undone == ["score"]
        run = await aclient.submit("slow", loans.Loan(1))

        async def waits() -> bool:
            return (await aclient.status(run.id)).state == "waiting"

        await until(waits)
        await aclient.cancel(run.id)
        assert (await run.wait(60)).state == "cancelled"
    assert undone == ["score", "score"]


async def test_a_history_of_a_machine_is_checked_as_one_of_a_workflow(
    app: Any, aclient: Any, working: Any
) -> None:
    """[M3]"""
    app.machine(loans.loan)
    async with working(app):
        run = await aclient.submit("loan", loans.Loan(5))
        await run.result()
    history = await aclient.history(run.id)
    assert await check_history(history, app.registry) is None
    changed = Stepflow("redis://localhost:1")
    machine = Machine("loan", State, start=State.SCORE, ends={State.DONE}, data=loans.Loan)
    machine.timer(State.SCORE, 1, to=State.WAIT)
    machine.timer(State.WAIT, 1, to=State.DONE)
    changed.machine(machine)
    assert "remembered value 'validate', now state 'score'" in str(
        await check_history(history, changed.registry)
    )


async def test_the_harness_mocks_branches_and_crashes_after_a_state() -> None:
    """[M6]"""
    async with Harness(loans.app) as h:
        bureau = h.mock("score[0]", 700)
        h.mock("validate", loans.State.SCORE)
        h.crash_after("validate")
        run = await h.submit("loan", loans.Loan(500))
        [question] = await h.client.questions()
        await h.client.answer(question.token, True)
        assert await h.result(run) == {"state": "done", "data": {"amount": 500, "score": 705}}
        assert len(bureau.calls) == 1
        assert question.prompt == "Grant it?"


def test_who_has_no_machine_loads_none() -> None:
    """[M2] Neither workers nor clients nor the program."""
    assert [name for name in loaded() if "kits.machine" in name] == []
