"""Children and maps as the replay sees them, a crash wherever a test wants one."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from stepflow import ChildFailed, Context, Join, StepFailed, Succeed
from stepflow.core.journal import write_head
from stepflow.core.outcomes import CleanedUp, Park, Pause, Raised
from stepflow.engine.spec import RunSpec
from stepflow.errors import ClaimLost
from stepflow.kits.flow.commands import map as maps
from stepflow.store.values.codec import pack
from tests.kits.memory import FamilyRuntime, activate


async def family(ctx: Context) -> Any:
    """A workflow that spawns two children and a map, and races them."""
    first, second = await asyncio.gather(ctx.spawn("a", 1), ctx.spawn("b", 2, key="two"))
    told = [await second.result(), await first.result()]
    told.append(await ctx.map("c", range(5)))
    return [*told, await first.result()]


async def to_the_end(runtime: FamilyRuntime, workflow: Any) -> Any:
    """Activate until the run ends; whenever it is parked, one more of what it waits for ends."""
    for _ in range(50):
        outcome = await activate(runtime, workflow)
        if not isinstance(outcome, Park):
            return outcome
        open_ = [run_id for run_id in runtime.children if run_id not in runtime.answered]
        assert open_, "it waits for nothing that is open"
        stem = open_[0].rpartition("-")[0]
        runtime.end(open_[0], runtime.children[open_[0]].payload, number=1)
        if stem and all(
            run_id in runtime.answered for run_id in runtime.children if run_id.startswith(stem)
        ):
            for number, run_id in enumerate(
                run_id for run_id in runtime.children if run_id.startswith(stem)
            ):
                runtime.end(run_id, runtime.children[run_id].payload, number=number + 1)
            runtime.answered[stem] = b"5|0"
            runtime.inbox += 1
    raise AssertionError("no end")


EXPECTED = Succeed([2, 1, [0, 1, 2, 3, 4], 1])


async def test_a_crash_at_every_write_makes_each_child_once_and_leads_to_the_same_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """[F13] Journal writes and spawns alike; a map is made in batches of two here."""
    monkeypatch.setattr(maps, "BATCH", 2)
    runtime = FamilyRuntime()
    assert await to_the_end(runtime, family) == EXPECTED
    names, writes = list(runtime.children), len(runtime.journal)
    assert len(names) == 7
    for crash_after in range(1, writes + 1):
        runtime = FamilyRuntime()
        runtime.crash_after = crash_after
        with pytest.raises(ClaimLost):
            await to_the_end(runtime, family)
        runtime.crash_after = None
        assert await to_the_end(runtime, family) == EXPECTED, crash_after
        assert list(runtime.children) == names, crash_after
        assert len(runtime.journal) == writes
    for dies_after in range(7):
        runtime = FamilyRuntime()
        runtime.dies_after = dies_after
        with pytest.raises(ClaimLost):
            await to_the_end(runtime, family)
        runtime.dies_after = None
        assert await to_the_end(runtime, family) == EXPECTED, dies_after
        assert sorted(runtime.children) == sorted(names), dies_after


async def test_a_crash_at_every_write_of_a_stop_leads_to_the_same_end_after_its_children() -> None:
    """[F14] [F15] Children first, then what was done is undone."""
    done: list[str] = []

    async def undo(value: int) -> None:
        done.append(f"undo {value}")

    async def workflow(ctx: Context) -> Any:
        await ctx.step("book", int, 7, compensate=undo)
        await (await ctx.spawn("c")).result()

    async def stopped(runtime: FamilyRuntime) -> Any:
        """
        Activate a run that was asked to stop until it ends; while it is parked its child ends.
        """
        runtime.is_stopped = True
        for _ in range(20):
            outcome = await activate(runtime, workflow)
            if not isinstance(outcome, Park):
                return outcome
            assert not done, "nothing is undone before the children are gone"
            for child in runtime.stopped:
                if child not in runtime.answered:
                    runtime.end(child, error="stopped")
        raise AssertionError("no end")

    async def parked() -> FamilyRuntime:
        runtime = FamilyRuntime()
        assert isinstance(await activate(runtime, workflow), Park)
        return runtime

    runtime = await parked()
    before = len(runtime.journal)
    assert await stopped(runtime) == CleanedUp(None, [])
    writes = len(runtime.journal)
    assert done == ["undo 7"]
    for crash_after in range(before + 1, writes + 1):
        done.clear()
        runtime = await parked()
        runtime.crash_after = crash_after
        with pytest.raises(ClaimLost):
            await stopped(runtime)
        runtime.crash_after = None
        done.clear()
        assert await stopped(runtime) == CleanedUp(None, []), crash_after
        assert len(runtime.journal) == writes
        assert done == (["undo 7"] if crash_after < writes else []), (
            "what is durable is not done again"
        )


async def test_a_remembered_child_is_not_made_again() -> None:
    """[F13]"""
    runtime = FamilyRuntime()
    await to_the_end(runtime, family)
    assert runtime.again == 0


async def test_a_map_costs_the_replay_two_commands_and_the_journal_two_small_entries() -> None:
    """[F13] However many children and however large their answers."""
    runtime = FamilyRuntime()

    async def workflow(ctx: Context) -> int:
        return len(await ctx.map("c", [b"x" * 1000] * 1200))

    assert isinstance(await activate(runtime, workflow), Park)
    stem = next(iter(runtime.children)).rpartition("-")[0]
    for number, run_id in enumerate(runtime.children):
        runtime.end(run_id, b"y" * 1000, number=number + 1)
    runtime.answered[stem] = b"1200|0"
    assert await activate(runtime, workflow) == Succeed(1200)
    assert len(runtime.journal) == 2
    assert sum(map(len, runtime.journal)) < 300
    assert await activate(runtime, workflow) == Succeed(1200)


@pytest.mark.parametrize(
    ("policy", "ends", "settled", "gives", "stops"),
    [
        ("all", {0: 1, 1: 2, 2: 3}, b"3|0", ["r0", "r1", "r2"], 0),
        ("all", {2: 1, 1: -1}, b"1|1", "e1", 1),
        ("settled", {0: -1, 1: 1, 2: -2}, b"1|2", ["e0", "r1", "e2"], 0),
        (1, {2: 1}, b"1|0", [(2, "r2")], 2),
        (2, {2: 1, 0: 2, 1: 0}, b"2|0", [(0, "r0"), (2, "r2")], 0),
        (2, {2: -1, 0: -2}, b"0|2", "e0", 1),
    ],
)
async def test_a_policy_says_what_a_map_gives_and_the_rest_is_stopped(
    policy: Any, ends: dict[int, int], settled: bytes, gives: Any, stops: int
) -> None:
    """
    [F13] Ends are index: number among its like, below zero for a failure, 0 for one after the map
    was settled.
    """
    runtime, seen = FamilyRuntime(), []

    async def workflow(ctx: Context) -> Any:
        try:
            found = await ctx.map("c", ["a", "b", "c"], join=policy)
        except ChildFailed as error:
            found = error.error_message
        if isinstance(found, list):
            found = [
                each.error_message if isinstance(each, ChildFailed) else each for each in found
            ]
        seen.append(found)
        await ctx.wait_for_signal("more")

    assert isinstance(await activate(runtime, workflow), Park)
    ids = list(runtime.children)
    for index, number in ends.items():
        runtime.end(
            ids[index], f"r{index}", number=abs(number), error=f"e{index}" if number < 0 else ""
        )
    runtime.answered[ids[0].rpartition("-")[0]] = settled
    assert isinstance(await activate(runtime, workflow), Park)
    assert seen == [gives]
    assert len(runtime.stopped) == stops
    for run_id in ids:  # what ends later is counted no more: the replay gives the same
        if run_id not in runtime.answered:
            runtime.end(run_id, "late")
    assert isinstance(await activate(runtime, workflow), Park)
    assert seen == [gives, gives]
    assert len(runtime.stopped) == stops


async def test_a_journal_that_only_asked_the_rest_to_end_replays_on() -> None:
    """[K2] [B13] The version before wrote the same entries, and did not wait between them."""
    runtime = FamilyRuntime()

    async def workflow(ctx: Context) -> Any:
        found = await ctx.map("c", [1, 2, 3], policy=1)
        return [found, await ctx.step("next", int, 7)]

    assert isinstance(await activate(runtime, workflow), Park)
    stem = next(iter(runtime.children)).rpartition("-")[0]
    runtime.end(f"{stem}-1", "r1", number=1)
    runtime.answered[stem] = b"1|0"
    for kind, place, name, data in (
        ("map", "0.wait", "c of 3", b"%s|3|1|0" % stem.encode()),
        ("value", "0.stop", "stop the rest", pack(None)),
        ("value", "1", "next", pack(7)),
    ):
        runtime.journal.append(write_head(kind, place, name, runtime.clock) + data)
    assert await activate(runtime, workflow) == Succeed([[(1, "r1")], 7])
    assert not runtime.stopped, "children that have not ended do not hold up what is remembered"


async def test_a_stopped_rest_that_takes_its_time_is_waited_for_across_crashes() -> None:
    """[K2] Parked, and woken by its end."""

    async def workflow(ctx: Context) -> Any:
        found = await ctx.map("c", [1, 2, 3], join=Join.any())
        return [found, sorted(each.rpartition("-")[2] for each in runtime.answered)]

    for crash_after in (None, 1, 2):
        runtime = FamilyRuntime()
        runtime.slow = True
        assert isinstance(await activate(runtime, workflow), Park)
        stem = next(iter(runtime.children)).rpartition("-")[0]
        runtime.end(f"{stem}-1", "r1", number=1)
        runtime.answered[stem] = b"1|0"
        if crash_after is not None:
            runtime.crash_after = crash_after
            with pytest.raises(ClaimLost):
                await activate(runtime, workflow)
            runtime.crash_after = None
        for child in ("0", "2"):
            parked = await activate(runtime, workflow)
            assert isinstance(parked, Park)
            assert parked.waits_for == "children to end"
            runtime.end(f"{stem}-{child}", error="stopped")
        end = await activate(runtime, workflow)
        assert isinstance(end, Succeed)
        assert end.result[0] == [(1, "r1")]
        assert end.result[1][:3] == ["0", "1", "2"]


async def test_a_map_of_nothing_is_nothing_and_options_out_of_range_are_refused() -> None:
    """[F13]"""

    async def nothing(ctx: Context) -> Any:
        return await ctx.map("c", [])

    assert await activate(FamilyRuntime(), nothing) == Succeed([])
    for options, words in (
        ({"limit": 0}, "limit 0"),
        ({"join": 3}, "join quorum(3) of 2 is not met"),
        ({"join": -1}, "-1"),
        ({"join": "most"}, "'most'"),
    ):

        async def wrong(ctx: Context, options: Any = options) -> Any:
            return await ctx.map("c", [1, 2], **options)

        outcome = await activate(FamilyRuntime(), wrong)
        assert isinstance(outcome, Raised)
        assert words in outcome.error.message


async def test_a_map_of_another_size_is_changed_code() -> None:
    """[F5] [F13]"""
    runtime = FamilyRuntime()

    async def map_of(ctx: Context, items: int) -> Any:
        return await ctx.map("c", range(items))

    assert isinstance(await activate(runtime, lambda ctx: map_of(ctx, 3)), Park)
    outcome = await activate(runtime, lambda ctx: map_of(ctx, 4))
    assert isinstance(outcome, Pause)
    assert "remembered value 'map c of 3', now step 'map c of 4'" in outcome.reason


@pytest.mark.parametrize("other", ["a signal", "a child"])
async def test_what_comes_in_between_the_looks_of_two_commands_is_looked_for_again(
    other: str,
) -> None:
    """
    [F9] [F10] Else the park would know of it by its count alone, and nothing would ever wake the
    run for it.
    """

    class Late(FamilyRuntime):
        def come(self) -> None:
            if not self.inbox:
                self.mail.append(b"go|" + pack("said"))
                self.inbox = 1

        def load_ends(self, names: Any) -> Any:
            self.come()
            return super().load_ends(names)

        def take_signal(self, index: int, head: bytes, names: Any) -> Any:
            if "other" in names:
                self.come()
            return super().take_signal(index, head, names)

    async def workflow(ctx: Context) -> Any:
        child = await ctx.spawn("c")
        go = ctx.wait_for_signal("go")
        await asyncio.wait(
            [go, ctx.wait_for_signal("other") if other == "a signal" else child.result()],
            return_when=asyncio.FIRST_COMPLETED,
        )
        return go.result()

    assert await activate(Late(), workflow) == Succeed("said")


async def test_one_who_waits_no_more_for_a_result_takes_it_from_nobody_else() -> None:
    """[F13]"""
    runtime = FamilyRuntime()

    async def workflow(ctx: Context) -> Any:
        child = await ctx.spawn("c")
        wait = child.result()
        await ctx.sleep(1)
        wait.cancel()
        return await child.result()

    outcome = await activate(runtime, workflow)
    assert isinstance(outcome, Park)
    runtime.clock = outcome.due_at or 0.0
    assert isinstance(await activate(runtime, workflow), Park)
    runtime.end(next(iter(runtime.children)), "result")
    assert await activate(runtime, workflow) == Succeed("result")


async def test_a_spawn_that_fails_for_good_is_a_step_that_failed() -> None:
    """[F13]"""

    class Barren(FamilyRuntime):
        async def spawn_children(self, specs: Any, **options: Any) -> bool:
            raise ValueError("no")

    runtime = Barren()

    async def workflow(ctx: Context) -> Any:
        try:
            await ctx.spawn("c")
        except StepFailed as error:
            return error.step

    outcome = await activate(runtime, workflow)
    while isinstance(outcome, Park):
        runtime.clock = outcome.due_at or 0.0
        outcome = await activate(runtime, workflow)
    assert outcome == Succeed("spawn c")


async def test_a_child_gets_what_spawn_is_given() -> None:
    """[F13]"""
    runtime = FamilyRuntime()

    async def workflow(ctx: Context) -> Any:
        await ctx.spawn("c", {"a": 1}, queue="gpu", priority="high", headers={"k": "v"}, timeout=5)

    await activate(runtime, workflow)
    ((run_id, spec),) = runtime.children.items()
    assert spec == RunSpec("c", {"a": 1}, run_id, {"k": "v"}, "gpu", "high", timeout=5)
