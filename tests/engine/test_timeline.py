"""What a run has done and what it is doing, as both clients tell it [U9]."""

import asyncio
import json

import pytest

from stepflow import Continue, RetryPolicy, RunNotFound, Succeed
from stepflow.core.journal import Entry, EntryKind
from stepflow.core.run import Run
from stepflow.core.under_way import UnderWay
from stepflow.engine.history import _read_entry, show_entry
from stepflow.engine.timeline.entries import JournalReader
from stepflow.hooks.body import json_value
from stepflow.store.keys import Keys
from stepflow.store.values.codec import pack
from tests.support import until

QUICK = RetryPolicy(max_attempts=3, initial=0.01)


def facts(timeline, *names):
    return [tuple(getattr(step, name) for name in names) for step in timeline]


def double(n):
    return 2 * n


def broken(n):
    raise KeyError("missing")


async def waiting(client, run_id):
    """Wait until a run is parked, and give its timeline."""

    async def parked():
        timeline = await client.steps(run_id)
        return timeline if timeline.run.state == "waiting" else None

    return await until(parked)


async def test_a_workflow_is_told_by_its_own_steps(app, aclient, working):
    """[U9] Name, state, attempt, when, how long, value, error."""
    tries = []

    def flaky(n):
        tries.append(n)
        if len(tries) < 2:
            raise ValueError("not yet")
        return n

    @app.workflow("order", retry=QUICK)
    async def order(ctx):
        await ctx.step(double, 1)
        await ctx.step(flaky, 2)
        await ctx.step("by key", double, 3, key="k")
        await ctx.vars.incr("turns")
        await ctx.step(broken, 4)

    async with working(app):
        run = await aclient.submit("order")
        await aclient.wait(run.id, 60)
    timeline = await aclient.steps(run.id)
    assert timeline.is_workflow
    assert facts(timeline, "kind", "name", "state", "attempt", "value", "key") == [
        ("step", "double", "succeeded", 1, 2, None),
        ("step", "flaky", "succeeded", 2, 2, None),
        ("step", "by key", "succeeded", 1, 6, "k"),
        ("variable", "incr turns", "succeeded", 1, 1, None),
        ("step", "broken", "failed", 3, None, None),
    ]
    first, second, *_, last = timeline
    assert first.started_at <= first.ended_at
    assert second.started_at <= second.ended_at
    assert first.took_s >= 0
    assert (last.error.type, last.error.message) == ("KeyError", "'missing'")
    assert timeline.open == []
    json.dumps(json_value(timeline))


@pytest.mark.parametrize("limit", [None, 60.0])
async def test_what_a_parked_run_waits_for_is_an_open_step(app, aclient, working, limit):
    """[U9] A signal, a question and a sleep, with and without a time limit."""

    @app.workflow("waits")
    async def waits(ctx):
        await asyncio.gather(
            ctx.wait_for_signal("paid", "cancelled", timeout=limit),
            ctx.ask(bool, "Publish?", timeout=limit),
            ctx.sleep(90),
        )

    async with working(app):
        run = await aclient.submit("waits")
        timeline = await waiting(aclient, run.id)
        assert sorted(facts(timeline.open, "kind", "name", "state")) == [
            ("question", "Publish?", "waiting"),
            ("signal", "paid,cancelled", "waiting"),
            ("sleep", "sleep", "waiting"),
        ]
        assert len(timeline) == 3
        for step in timeline:
            assert (step.until is not None) is (step.kind == "sleep" or limit is not None)
        (asked,) = [step for step in timeline if step.kind == "question"]
        await aclient.answer(asked.token, True)
        await aclient.signal(run.id, "cancelled", 7)
        timeline = await until(lambda: _all_but_sleep_over(aclient, run.id))
        assert sorted(facts(timeline, "kind", "name", "state", "value")) == [
            ("question", "Publish?", "succeeded", True),
            ("signal", "cancelled", "succeeded", 7),
            ("sleep", "sleep", "waiting", None),
        ]
        await aclient.cancel(run.id)
        assert facts(await aclient.steps(run.id), "state").count(("cancelled",)) == 1


async def _all_but_sleep_over(client, run_id):
    timeline = await client.steps(run_id)
    is_parked = timeline.run.state == "waiting"  # while its worker has it, that is a step as well
    return timeline if is_parked and sum(not step.is_open for step in timeline) == 2 else None


async def test_waits_whose_time_was_up_say_so(app, aclient, working):
    """[U9]"""

    @app.workflow("late")
    async def late(ctx):
        await ctx.wait_for_signal("never", timeout=0.01)
        await ctx.ask(bool, "Anyone?", timeout=0.01)

    async with working(app):
        run = await aclient.submit("late")
        await aclient.wait(run.id, 60)
    assert facts(await aclient.steps(run.id), "kind", "name", "state") == [
        ("signal", "never", "timed out"),
        ("question", "Anyone?", "timed out"),
    ]


async def test_what_was_asked_is_told_as_far_as_it_is_known(app, aclient, working, real):
    """[U9] At most its beginning; nothing of a run of a version before, nor what is unreadable."""

    @app.workflow("asks")
    async def asks(ctx):
        return [await ctx.ask(int, f"{word}?" * 300) for word in ("why", "who")]

    async with working(app):
        run = await aclient.submit("asks", run_id="r")
        for number in range(2):
            [question] = await until(aclient.questions)
            await aclient.answer(question.token, number)
        assert await run.result(60) == [0, 1]

    async def names():
        return [step.name for step in await aclient.steps("r")]

    assert await names() == [("why?" * 300)[:500], ("who?" * 300)[:500]]
    kept = real.hgetall("stepflow:run:r:replies")
    first = next(field for field in kept if field.endswith(b"?"))
    real.hset("stepflow:run:r:replies", first, b"\xc1")
    assert "<what it asked cannot be read: " in str(await names())
    real.delete("stepflow:run:r:replies")
    assert await names() == ["answered", "answered"]
    real.set("stepflow:run:r:replies", "odd", ex=60)
    assert await names() == ["answered", "answered"]


async def test_children_are_linked_both_ways_and_have_their_states(app, aclient, working):
    """[U9] A child of `ctx.spawn`, a map and a step on another queue; each names its parent."""

    @app.step(queue="other")
    def away(n):
        return n + 1

    @app.workflow("leaf")
    async def leaf(ctx, n):
        if n == 9:
            raise ValueError("nine")
        if n > 1:
            await ctx.wait_for_signal("go")
        return n

    @app.workflow("parent")
    async def parent(ctx):
        assert await ctx.step(away, 1) == 2
        await ctx.spawn("leaf", 2)
        nine = await ctx.spawn("leaf", 9)
        await asyncio.gather(nine.result(), return_exceptions=True)
        await ctx.map("leaf", [1, 2, 3])

    async with working(app, queues=["default", "other"]):
        run = await aclient.submit("parent")

        async def map_has_begun():
            timeline = await waiting(aclient, run.id)
            found = [step for step in timeline if step.kind == "map" and step.done == 1]
            return timeline if found else None

        timeline = await until(map_has_begun)
        assert facts(timeline, "kind", "name", "state", "done", "total") == [
            ("child", "away", "succeeded", None, None),
            ("child", "leaf", "waiting", None, None),
            ("child", "leaf", "failed", None, None),
            ("map", "leaf", "waiting", 1, 3),
        ]
        remote, live, failed, group = timeline
        assert (remote.value, failed.error.message) == (2, "nine")
        for child in (remote.run_id, live.run_id, failed.run_id, f"{group.run_id}-2"):
            assert (await aclient.status(child)).parent == run.id
        for child in (live.run_id, f"{group.run_id}-1", f"{group.run_id}-2"):
            await aclient.signal(child, "go")
        await aclient.wait(run.id, 60)
    *_, group = await aclient.steps(run.id)
    assert (group.state, group.done) == ("succeeded", 3)


async def test_compensations_and_restarts_are_steps_of_their_own(app, aclient, working):
    """[U9]"""

    @app.workflow("saga", retry=QUICK)
    async def saga(ctx, n):
        if n:
            return await ctx.continue_as_new(n - 1)
        await ctx.step(double, 1, compensate=double)
        raise ValueError("no")

    async with working(app):
        run = await aclient.submit("saga", 2)
        await aclient.wait(run.id, 60)
    timeline = await aclient.steps(run.id)
    assert timeline.restarts == 2
    assert facts(timeline, "kind", "name", "state") == [
        ("restart", "start", "succeeded"),
        ("step", "double", "succeeded"),
        ("undo", "undo", "succeeded"),
        ("compensation", "double", "succeeded"),
    ]


async def test_what_is_under_way_names_its_worker(app, aclient, working):
    """[U9] A first attempt is known to its worker alone; a later one by its step."""
    entered, go = asyncio.Event(), asyncio.Event()

    async def slow():
        entered.set()
        await go.wait()

    @app.workflow("busy")
    async def busy(ctx):
        await ctx.step(double, 1)
        await ctx.step(slow)

    async with working(app) as worker:
        run = await aclient.submit("busy")
        await entered.wait()
        timeline = await aclient.steps(run.id)
        assert facts(timeline.open, "state", "worker") == [("running", worker._options.name)]
        assert timeline.open[0].started_at == timeline.steps[0].ended_at
        go.set()
        await aclient.wait(run.id, 60)


async def test_an_attempt_that_takes_its_time_is_told_by_name(app, aclient, working, real):
    """[U9] By the renewing thread, each once, and only while it is in progress."""
    entered, go = asyncio.Event(), asyncio.Event()

    async def slow():
        entered.set()
        await go.wait()

    @app.workflow("busy", retry=QUICK)
    async def busy(ctx):
        await asyncio.gather(ctx.step(slow), ctx.step(double, 1))
        await ctx.wait_for_signal("go")

    @app.runner("plain")
    async def plain(step):
        await slow()
        return Succeed(None)

    async with working(app) as worker:
        name = worker._options.name
        run = await aclient.submit("busy")
        await entered.wait()
        await until(lambda: _ended(aclient, run.id, 1))
        await asyncio.to_thread(worker.parts.renewer.renew)
        timeline = await aclient.steps(run.id)
        (doing,) = timeline.open
        assert (doing.name, doing.state, doing.worker) == ("slow", "running", name)
        assert doing.started_at <= timeline.steps[0].ended_at
        (claimed,) = worker.worker_state.runs.values()
        told = claimed.inbox_watch.told
        real.hdel(f"{Keys().run(run.id)}:data", "doing")
        await asyncio.to_thread(worker.parts.renewer.renew)
        assert claimed.inbox_watch.told == told
        assert not real.hexists(f"{Keys().run(run.id)}:data", "doing"), "it is told once"
        go.set()
        timeline = await waiting(aclient, run.id)
        assert facts(timeline.open, "kind", "name") == [("signal", "go")]

        entered.clear()
        go.clear()
        run = await aclient.submit("plain")
        await entered.wait()
        await asyncio.to_thread(worker.parts.renewer.renew)
        (doing,) = await aclient.steps(run.id)
        (claimed,) = worker.worker_state.runs.values()
        assert doing.started_at.timestamp() == pytest.approx(claimed.attempt.started_at, abs=0.001)
        go.set()
        await run.wait(60)


async def _ended(client, run_id, count):
    timeline = await client.steps(run_id)
    return len([step for step in timeline if not step.is_open]) == count


@pytest.mark.parametrize(
    "told", [None, [], ["w.1.", 7], ["w.1.", [["0", "s", 1]]], ["other", [["0", "s", 1, 2.0]]]]
)
def test_what_a_worker_told_is_read_only_as_it_was_written(told):
    """[U9] Of another claim, or damaged, it says nothing."""
    assert UnderWay.read_all(told, "w.1.") == []
    assert UnderWay.read_all(["w.1.", [["0", "s", 1, 2.0]]], "w.1.") == [UnderWay("0", "s", 1, 2.0)]


async def test_a_runner_is_told_by_its_attempts(app, aclient, client, working):
    """[U9] So is the step it is at."""

    @app.runner("chain", retry=RetryPolicy(max_attempts=2, initial=0.01))
    def chain(step):
        if step.payload == 0:
            raise KeyError("zero")
        return Continue(step.payload - 1)

    run = await aclient.submit("chain", 1)
    assert facts(await aclient.steps(run.id), "name", "state") == [("step 0", "pending")]
    async with working(app):
        await aclient.wait(run.id, 60)
    timeline = client.steps(run.id)
    assert not timeline.is_workflow
    assert facts(timeline, "number", "attempt", "state", "outcome") == [
        (0, 1, "succeeded", "continue"),
        (1, 1, "failed", "raised"),
        (1, 2, "failed", "raised"),
    ]
    assert timeline.steps[-1].error.message == "'zero'"
    later = client.submit("chain", 1, delay=60)
    assert facts(client.steps(later.id), "name", "state") == [("step 0", "scheduled")]


def test_an_unknown_run_has_no_steps(client):
    with pytest.raises(RunNotFound):
        client.steps("nobody")


def test_entries_that_cannot_be_read_are_shown_in_their_place():
    """[U9] The rest is told all the same."""
    value = Entry(EntryKind.VALUE, "0", "fine", 1.0, pack(1)).write()
    reader = JournalReader(Run("r", "w"))
    reader.read([b"nonsense", value, b"later|1|x|2.0|", b"error|2|bad|3.0|\xff", value])
    assert [step.kind for step in reader.steps] == [
        "unreadable", "step", "unreadable", "unreadable"
    ]  # fmt: skip


def test_a_key_that_was_forgotten_is_a_step_each_time():
    """[U9]"""
    value = Entry(EntryKind.VALUE, "key:k", "fetch", 1.0, pack(1)).write()
    forget = Entry(EntryKind.FORGET, "3", "k", 2.0).write()
    reader = JournalReader(Run("r", "w"))
    reader.read([value, forget, value])
    assert [(step.kind, step.name, step.key) for step in reader.steps] == [
        ("step", "fetch", "k"),
        ("forget", "k", None),
        ("step", "fetch", "k"),
    ]


@pytest.mark.parametrize("took_ms", [None, 0, 7, 123_456_789])
def test_how_long_an_attempt_took_is_beside_its_time_and_older_readers_do_not_mind(took_ms):
    """[U9] They read the same time; an export keeps it."""
    at = 1_800_000_000.123456
    written = Entry(EntryKind.VALUE, "0", "s", at, pack(1), took_ms).write()
    assert Entry.read(written).took_ms == took_ms
    assert Entry.read(written).at == at
    assert f"{float(written.split(b'|')[3]):.6f}" == f"{at:.6f}"
    shown = show_entry(written)
    assert "entry" not in shown
    assert _read_entry(json.loads(json.dumps(shown))) == written
