"""
Asks: a person is asked, answers once, and the workflow goes on with the answer or without one.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
import redis

from stepflow import AsyncClient, Client, Context, RunState, Stepflow, Succeed
from stepflow.core.outcomes import Park, Raised
from stepflow.engine.questions import Question
from stepflow.errors import AnswerMisfit, ClaimLost, QuestionClosed, QuestionNotFound
from stepflow.kits.flow.replayer import check_history
from stepflow.store.questions import (
    QuestionOutcome,
    answer_question,
    close_questions,
    settle_question,
)
from stepflow.store.runs import load_run
from stepflow.store.values.codec import pack
from stepflow.testing import Harness
from tests.conftest import Working
from tests.kits.memory import MemoryRuntime, World, activate, to_the_end
from tests.support import dump, until


@dataclass
class Decision:
    ok: bool
    why: str = ""


async def listed(client: AsyncClient, count: int = 1) -> list[Question]:
    async def found() -> list[Question]:
        asks = list(await client.questions())
        return asks if len(asks) == count else []

    asks: list[Question] = await until(found)
    return asks


@pytest.fixture
def publish(app: Stepflow) -> Stepflow:
    @app.workflow("publish")
    async def publish(ctx: Context) -> Any:
        decision = await ctx.ask(Decision, "Publish page 7?", timeout=timedelta(days=3))
        return [decision.ok, decision.why]

    return app


async def test_an_ask_is_listed_answered_once_and_comes_as_its_type(
    publish: Stepflow, aclient: AsyncClient, client: Client, working: Working, real: redis.Redis
) -> None:
    """
    [F11] By both clients; a second answer is refused in words, also when the run has long gone on.
    """
    async with working(publish):
        run = await aclient.submit("publish")
        [ask] = await listed(aclient)
        assert (ask.run_id, ask.prompt) == (run.id, "Publish page 7?")
        assert ask.token.startswith(f"{run.id}.")
        assert ask.schema["properties"]["ok"] == {"title": "Ok", "type": "boolean"}
        assert ask.asked_at is not None
        assert ask.until is not None
        assert timedelta(days=2) < ask.until - ask.asked_at <= timedelta(days=3)
        status = await until(lambda: _waiting(aclient, run.id))
        assert "an answer to 'Publish page 7?'" in status.waits_for
        assert await asyncio.to_thread(client.questions) == [ask]
        await asyncio.to_thread(client.answer, ask.token, {"ok": True, "why": "it is good"})
        assert await run.result(60) == [True, "it is good"]
        assert await aclient.questions() == []
        assert not real.exists("stepflow:questions")
        with pytest.raises(
            QuestionClosed, match=r"was answered at 20\d\d-.* UTC; it takes one answer"
        ):
            await aclient.answer(ask.token, {"ok": False})


async def _waiting(client: AsyncClient, run_id: str) -> Any:
    status = await client.status(run_id)
    return status if status is not None and status.state is RunState.WAITING else None


async def test_an_answer_that_does_not_fit_or_a_wrong_token_changes_nothing(
    publish: Stepflow, aclient: AsyncClient, working: Working, real: redis.Redis
) -> None:
    """[F11]"""
    async with working(publish):
        run = await aclient.submit("publish")
        [ask] = await listed(aclient)
        await until(lambda: _waiting(aclient, run.id))
        before = dump(real)[f"stepflow:run:{run.id}".encode()]
        with pytest.raises(AnswerMisfit, match=r"ok: 'yes' is not of type 'boolean'"):
            await aclient.answer(ask.token, {"ok": "yes"})
        for token in ("nonsense", "", f"{run.id}.0123", f"other.{ask.token.split('.')[1]}"):
            with pytest.raises(QuestionNotFound):
                await aclient.answer(token, {"ok": True})
        assert dump(real)[f"stepflow:run:{run.id}".encode()] == before
        await aclient.answer(ask.token, {"ok": False})
        assert await run.result(60) == [False, ""]


async def test_of_many_answers_at_once_one_counts(
    publish: Stepflow, aclient: AsyncClient, working: Working
) -> None:
    """[F11]"""
    async with working(publish):
        run = await aclient.submit("publish")
        [ask] = await listed(aclient)
        answers = [aclient.answer(ask.token, {"ok": True, "why": str(n)}) for n in range(10)]
        done = await asyncio.gather(*answers, return_exceptions=True)
        [winner] = [n for n, outcome in enumerate(done) if outcome is None]
        assert {type(outcome) for outcome in done if outcome is not None} <= {
            QuestionClosed,
            QuestionNotFound,
        }
        assert await run.result(60) == [True, str(winner)]


async def test_the_script_of_an_answer_that_arrives_twice_is_answered_as_the_first_time(
    publish: Stepflow, aclient: AsyncClient, working: Working, link_to_real: Any, real: redis.Redis
) -> None:
    """
    [F11] Its reply was lost and it is sent again, when the run has taken the answer and ended.
    """
    keys = aclient.env.keys
    async with working(publish):
        run = await aclient.submit("publish")
        [ask] = await listed(aclient)
        row = link_to_real.call(load_run(keys, run.id))
        digest = ask.token.split(".")[1]
        mark, other = QuestionOutcome("answered", 5.0, "r1"), QuestionOutcome("answered", 6.0, "r2")
        call = answer_question(keys, row, digest, pack({"ok": True}), mark=mark, now=5.0)
        assert link_to_real.call(call) == mark
        assert await run.result(60) == [True, ""]
        before = dump(real)[f"stepflow:run:{run.id}:replies".encode()]
        assert link_to_real.call(call) == mark
        assert (
            link_to_real.call(
                answer_question(keys, row, digest, pack({"ok": False}), mark=other, now=6.0)
            )
            == mark
        )
        assert dump(real)[f"stepflow:run:{run.id}:replies".encode()] == before


async def test_after_its_timeout_it_is_none_and_takes_no_answer(app: Stepflow) -> None:
    """[F11] On the harness, whose clock is moved over three days."""

    @app.workflow("w")
    async def workflow(ctx: Context) -> Any:
        first = await ctx.ask(bool, "first?", timeout=timedelta(days=3))
        return [first, await ctx.ask({"enum": ["red", "green"]}, "which?")]

    async with Harness(app) as h:
        run = await h.submit("w")
        [first] = await h.client.questions()
        await h.advance(timedelta(days=3))
        [second] = await h.client.questions()
        assert second.prompt == "which?"
        assert second.until is None
        with pytest.raises(QuestionClosed, match="was timed out at"):
            await h.client.answer(first.token, True)
        with pytest.raises(AnswerMisfit, match="'blue' is not one of"):
            await h.client.answer(second.token, "blue")
        await h.client.answer(second.token, "green")
        assert await h.result(run) == [None, "green"]
        assert await h.client.questions() == []


async def test_whichever_comes_first_decides_an_answer_or_the_end_of_its_time(
    aclient: AsyncClient, link_to_real: Any, real: redis.Redis
) -> None:
    """[F11] An answer that was accepted is never lost to a timeout, nor taken after one."""
    keys = aclient.env.keys
    for number, answer_first in enumerate((True, False)):
        run = (await aclient.submit("w", number)).id
        real.hset(f"stepflow:run:{run}", mapping={"token": "w.1."})
        row = link_to_real.call(load_run(keys, run))

        def settle(
            index: int, lapsed: QuestionOutcome | None, token: str = "w.1.", run: str = run
        ) -> Any:
            head = b"answer|%d|decision|1.0|" % index
            return link_to_real.call(
                settle_question(
                    keys,
                    run,
                    token,
                    index,
                    head,
                    digest="d",
                    asked=b"asked",
                    prompt=b"prompt",
                    now=1.0,
                    lapsed=lapsed,
                )
            )

        assert settle(0, None) == [0]
        assert real.hget(f"stepflow:run:{run}:questions", "d") == b"asked"
        withdrawn = close_questions(
            keys, run, "other.", digests=["d"], mark=QuestionOutcome("withdrawn", 1.5)
        )
        assert link_to_real.call(withdrawn) == 0
        assert real.hexists(f"stepflow:run:{run}:questions", "d")
        answered, lapsed = QuestionOutcome("answered", 2.0, "r"), QuestionOutcome("timed out", 3.0)
        if answer_first:
            assert (
                link_to_real.call(answer_question(keys, row, "d", b"yes", mark=answered, now=2.0))
                == answered
            )
            assert settle(0, lapsed) == [1, b"=yes"]
        else:
            assert settle(0, lapsed) == [0, b""]
            assert (
                link_to_real.call(answer_question(keys, row, "d", b"yes", mark=answered, now=2.0))
                == lapsed
            )
        before = dump(real)
        assert settle(0, lapsed)[1:] == [b"=yes" if answer_first else b""]
        assert settle(1, lapsed, token="other.") == []
        assert settle(2, lapsed) == []
        assert dump(real) == before
        assert not real.exists("stepflow:questions")
        await aclient.cancel(run)


async def test_questions_leave_the_list_with_their_run_and_come_back_when_it_is_retried(
    app: Stepflow, aclient: AsyncClient, working: Working
) -> None:
    """[F11] [F18]"""
    is_mended = False

    async def step() -> None:
        if not is_mended:
            raise ValueError("broken")

    @app.workflow("w")
    async def workflow(ctx: Context, turn: int) -> Any:
        answer = ctx.ask(str, f"turn {turn}?")
        word = await ctx.wait_for_signal("go")
        if word == "anew":
            ctx.detach(answer)
            return await ctx.continue_as_new(turn + 1)
        if word == "break":
            await ctx.step("step", step)
        return await answer

    async with working(app):
        run = await aclient.submit("w", 0)
        [first] = await listed(aclient)
        await aclient.signal(run.id, "go", "anew")
        await until(lambda: _is_asked(aclient, "turn 1?"))
        with pytest.raises(QuestionNotFound):
            await aclient.answer(first.token, "too late")
        [second] = await aclient.questions()
        assert second.token != first.token
        await aclient.signal(run.id, "go", "break")
        assert (await run.wait(60)).state is RunState.FAILED
        assert await aclient.questions() == []
        with pytest.raises(QuestionNotFound):
            await aclient.answer(second.token, "it has failed")
        is_mended = True
        await aclient.retry(run.id)
        assert [ask.token for ask in await listed(aclient)] == [second.token]
        await aclient.answer(second.token, "yes")
        assert await run.result(60) == "yes"
        other = await aclient.submit("w", 7)
        await listed(aclient)
        await until(lambda: _waiting(aclient, other.id))
        assert await other.cancel()
        assert await aclient.questions() == []


async def _is_asked(client: AsyncClient, *prompts: str) -> bool:
    return [ask.prompt for ask in await client.questions()] == list(prompts)


async def test_an_ask_that_lost_a_race_is_taken_off_the_list(
    app: Stepflow, aclient: AsyncClient, working: Working
) -> None:
    """[F11] Whatever order they stand in, and it is not put on again by a replay."""

    @app.workflow("w")
    async def workflow(ctx: Context, first: str) -> Any:
        asks = [lambda: ctx.ask(bool, "really?"), lambda: ctx.wait_for_signal("skip")]
        waits = [ask() for ask in (asks if first == "ask" else reversed(asks))]
        done, rest = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in rest:
            wait.cancel()
        return [done.pop().result(), await ctx.wait_for_signal("go")]

    async with working(app):
        for first in ("ask", "signal"):
            run = await aclient.submit("w", first)
            [ask] = await listed(aclient)
            await until(lambda run=run: _waiting(aclient, run.id))
            await aclient.signal(run.id, "skip", "skipped")
            await until(lambda: _is_asked(aclient))
            with pytest.raises(QuestionClosed, match="was withdrawn at"):
                await aclient.answer(ask.token, True)
            await until(lambda run=run: _waiting(aclient, run.id))
            await aclient.signal(run.id, "go", "on")
            assert await run.result(60) == ["skipped", "on"]
            assert await aclient.questions() == []


async def test_many_asks_of_one_run_are_answered_in_any_order_and_listed_first_asked_first(
    app: Stepflow, aclient: AsyncClient, working: Working
) -> None:
    """[F11]"""

    @app.workflow("w")
    async def workflow(ctx: Context) -> Any:
        return await asyncio.gather(*(ctx.ask(int, f"number {n}?") for n in range(5)))

    async with working(app):
        run = await aclient.submit("w")
        asks = await listed(aclient, 5)
        assert [ask.prompt for ask in asks] == [f"number {n}?" for n in range(5)]
        assert await aclient.questions(limit=2) == asks[:2]
        for number, ask in reversed(list(enumerate(asks))):
            await aclient.answer(ask.token, number)
        assert await run.result(60) == [0, 1, 2, 3, 4]


async def test_an_answer_reaches_a_run_that_is_busy_with_something_else(
    app: Stepflow, aclient: AsyncClient, working: Working
) -> None:
    """[F11] [F9]"""
    said = asyncio.Event()

    async def busy() -> str:
        await said.wait()
        return "done"

    async def heard() -> None:
        said.set()

    @app.workflow("w")
    async def workflow(ctx: Context) -> Any:
        async def listen() -> Any:
            word = await ctx.ask(str, "word?")
            await ctx.step("heard", heard)
            return word

        async with asyncio.TaskGroup() as group:
            word, work = group.create_task(listen()), group.create_task(_step(ctx, busy))
        return [work.result(), word.result()]

    async with working(app):
        run = await aclient.submit("w")
        [ask] = await listed(aclient)
        await aclient.answer(ask.token, "now")
        assert await run.result(60) == ["done", "now"]


async def _step(ctx: Context, function: Any) -> Any:
    return await ctx.step("busy", function)


async def test_a_crash_at_every_write_asks_once_and_leads_to_the_same_end() -> None:
    """[F11] [F2]"""

    async def workflow(ctx: Context, world: World) -> list[Any]:
        await ctx.step("before", world.act, "before")
        first = await ctx.ask(int, "first?", timeout=60)
        second = await ctx.ask({"type": "string"}, "second?")
        return [
            first,
            second,
            await ctx.ask(bool, "third?", timeout=60),
            await ctx.vars.incr("asked"),
        ]

    async def play(runtime: MemoryRuntime, world: World) -> Any:
        """Go on until the end; answer the first two, let the third pass."""
        while True:
            outcome = await activate(runtime, lambda ctx: workflow(ctx, world))
            if not isinstance(outcome, Park):
                return outcome
            [asked] = runtime.asks.values()
            if b"first?" in asked or b"second?" in asked:
                runtime.answer(1 if b"first?" in asked else "two")
            else:
                runtime.clock = max(runtime.clock, outcome.due_at or 0.0)

    runtime = MemoryRuntime()
    expected = await play(runtime, World())
    assert expected == Succeed([1, "two", None, 1])
    assert runtime.asks == {}
    for crash_after in range(1, len(runtime.journal) + 1):
        world, runtime = World(), MemoryRuntime()
        runtime.crash_after = crash_after
        with pytest.raises(ClaimLost):
            await play(runtime, world)
        runtime.crash_after = None
        assert await play(runtime, world) == expected, crash_after
        assert runtime.asks == {}
        assert world.done == ["before"]


async def test_what_cannot_be_asked_is_refused_in_words_and_a_check_asks_nobody(
    app: Stepflow,
) -> None:
    """[F11] [F5]"""
    for wanted, words in (
        ({"type": "nonsense"}, "is no JSON schema"),
        (type("Odd", (), {}), "Odd"),
    ):

        async def workflow(ctx: Context, wanted: Any = wanted) -> None:
            await ctx.ask(wanted, "?")

        outcome = await activate(MemoryRuntime(), workflow)
        assert isinstance(outcome, Raised)
        assert words in outcome.error.message

    @app.workflow("race")
    async def race(ctx: Context) -> None:
        ask = ctx.ask(bool, "really?")
        await ctx.wait_for_signal("skip")
        ask.cancel()
        await ctx.wait_for_signal("go")

    async with Harness(app) as h:
        run = await h.submit("race")
        await h.signal(run, "skip")
        assert await check_history(await h.history(run), app.registry) is None


async def test_another_prompt_is_no_other_code_but_another_kind_of_wait_is() -> None:
    """[F11] [F5]"""
    runtime = MemoryRuntime()

    def asking(prompt: str) -> Any:
        async def workflow(ctx: Context) -> Any:
            return await ctx.ask(bool, prompt, timeout=60)

        return workflow

    async def sleeping(ctx: Context) -> None:
        await ctx.sleep(60)

    assert isinstance(await activate(runtime, asking("Publsh?")), Park)
    outcome = await activate(runtime, sleeping)
    assert type(outcome).__name__ == "Pause"
    assert isinstance(await activate(runtime, asking("Publish?")), Park)
    runtime.answer(True)
    assert await to_the_end(runtime, asking("Publish?")) == Succeed(True)
