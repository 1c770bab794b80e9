"""Runs of definitions on a real server: what runs when, what is kept, what is never there."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from stepflow import Context, InvalidDefinition, InvalidOption, PermanentError, Stepflow
from stepflow.archive.archive import Archive
from stepflow.archive.where import Where
from stepflow.kits.definition import Flow, KindInput, Work
from stepflow.kits.definition.checking.source import read_text
from stepflow.settings import ArchiveSettings
from tests.support import until


def step(name: str, *needs: str, kind: str = "tool", **more: Any) -> dict[str, Any]:
    """A step; by default it calls the tool `note` with its own name."""
    given = more.pop("input", {"tool": "note", "args": {"name": name}} if kind == "tool" else {})
    return {"id": name, "kind": kind, "depends_on": list(needs), "input": given, **more}


def flow(*steps: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"name": "flow", "steps": list(steps), **more}


@pytest.fixture
def seen(app: Any) -> list[str]:
    """The names that the tool `note` was called with; `!x` fails, `?x` gives a mapping."""
    seen: list[str] = []

    @app.tool
    async def note(name: str) -> Any:
        seen.append(name)
        if name.startswith("!"):
            raise PermanentError(f"no {name}")
        return {"was": name}

    return seen


async def ended(client: Any, definition: Any, given: Any = None, **options: Any) -> Any:
    run = await client.submit_definition(definition, given, **options)
    return await run.wait(60)


async def test_steps_run_as_soon_as_what_they_need_has_ended(
    app: Any, working: Any, seen: list[str]
) -> None:
    """[D3] Each is a step of the run by its id; the result is that of the last ones."""
    both = asyncio.Barrier(2)

    @app.tool
    async def meet() -> str:  # each waits for the other: they do run side by side
        await asyncio.wait_for(both.wait(), 30)
        return "met"

    meeting = {"input": {"tool": "meet"}}
    told = {"tool": "note", "args": {"name": "{steps.b}-{input.n}"}}
    definition = flow(
        step("last", "b", "c", input=told), step("b", "a", **meeting), step("c", "a", **meeting),
        step("a"),
    )  # fmt: skip
    async with working(app):
        status = await ended(app.async_client, definition, {"n": 1})
        steps = await app.async_client.steps(status.id)
    assert (status.state, status.result) == ("succeeded", {"last": {"was": "met-1"}})
    assert seen == ["a", "met-1"]
    assert sorted(each.key for each in steps) == ["a", "b", "c", "last"]


async def test_a_failed_step_blocks_what_needs_it_and_the_others_finish(
    app: Any, working: Any, seen: list[str]
) -> None:
    """[D3] The run fails with all errors, and undoes what was done."""
    failing = {"tool": "note", "args": {"name": "!b"}}
    undo = {"kind": "tool", "input": {"tool": "note", "args": {"name": "undo {result.was}"}}}
    definition = flow(
        step("a", compensate=undo), step("b", "a", input=failing), step("c", "b"), step("d", "c"),
        step("e", "a", kind="sleep", input={"for": "50ms"}), step("f", "e"),
        step("g", input={"tool": "note", "args": {"name": "!g"}}),
    )  # fmt: skip
    async with working(app):
        status = await ended(app.async_client, definition)
    assert (status.state, status.error.type) == ("failed", "DefinitionFailed")
    message = status.error.message
    assert "step 'b': PermanentError: no !b" in message
    assert "step 'g': PermanentError: no !g" in message
    assert message.endswith("never begun: c, d")
    assert seen[-2:] == ["f", "undo a"]


@pytest.mark.parametrize(
    ("n", "called"), [(5, ["big", "more", "end"]), (1, ["small", "end"]), (0, ["end"])]
)
async def test_a_condition_takes_one_way_and_the_other_is_skipped_to_its_end(
    app: Any, working: Any, seen: list[str], n: int, called: list[str]
) -> None:
    """[D4] [D6] A step that `skip_if` skips counts as ended; one that was not chosen does not."""
    cases = [{"when": "input.n > 3", "then": "big"}, {"when": "input.n > 0", "then": "small"}]
    definition = flow(
        step("pick", kind="condition", input={"cases": cases, "else": "never"}),
        step("big", "pick"), step("more", "big"), step("small", "pick"),
        step("never", "pick", skip_if="true"), step("end", "more", "small", "never"),
        output={"big": "{steps.big.was}", "pick": "{steps.pick.chosen}"},
    )  # fmt: skip
    async with working(app):
        status = await ended(app.async_client, definition, {"n": n})
    assert seen == called
    assert status.result["big"] == ("big" if n > 3 else None)
    assert len(status.result["pick"]) == 1


async def test_a_run_keeps_its_definition_and_an_answer_is_there_for_what_follows(
    app: Any, working: Any, seen: list[str], tmp_path: Any
) -> None:
    """[D2] [D8] The file is edited while the run waits; the same submit executes nothing more."""
    text = """
name: asking
steps:
  - {id: ask, kind: wait, input: {prompt: "Go, {input}?", schema: {type: integer}}}
  - {id: then, kind: tool, depends_on: [ask], input: {tool: note, args: {name: "OLD {steps.ask}"}}}
"""
    (tmp_path / "f.yaml").write_text(text)
    app.definitions(tmp_path)
    client = app.async_client
    async with working(app):
        run = await client.submit_definition("asking", "Ada", run_id="one")
        [question] = await until(client.questions)
        assert question.prompt == "Go, Ada?"
        later = read_text(text.replace("OLD", "NEW")).data
        app.definitions().known.definitions["asking"] = app.definitions().read(later)
        with pytest.raises(Exception, match="wrong type"):
            await client.answer(question.token, "yes")
        await client.answer(question.token, 7)
        assert await run.result(60) == {"then": {"was": "OLD 7"}}
        again = await client.submit_definition(read_text(text).data, "Ada", run_id="one")
        assert (again.created, await again.result(60)) == (False, {"then": {"was": "OLD 7"}})
        fresh = await client.submit_definition("asking", "Ada")
        [question] = await until(client.questions)
        await client.answer(question.token, 8)
        assert await fresh.result(60) == {"then": {"was": "NEW 8"}}
    assert seen == ["OLD 7", "NEW 8"]


async def test_input_is_checked_before_anything_is_stored(
    app: Any, client: Any, real: Any, seen: list[str]
) -> None:
    """[D2]"""
    schema = {"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}}
    definition = flow(step("a"), input=schema)
    with pytest.raises(InvalidOption, match="input of definition 'flow' is wrong: n: 'x'"):
        client.submit_definition(definition, {"n": "x"})
    with pytest.raises(InvalidDefinition, match=r"steps\[0\].depends_on\[0\]: no step is called"):
        client.submit_definition(flow(step("a", "b")))
    with pytest.raises(InvalidOption, match="no entry point 'x'"):
        client.submit_definition(flow(step("a")), entry_point="x")
    with pytest.raises(TypeError, match="unexpected keyword argument 'version'"):
        client.submit_definition(flow(step("a")), version=2)
    with pytest.raises(InvalidOption, match="of an app that has none"):
        Stepflow("redis://localhost:1").client.submit_definition(definition)
    assert not real.keys("stepflow:run:*")


async def test_an_entry_point_begins_later_with_values_for_what_lies_before(
    app: Any, working: Any, seen: list[str]
) -> None:
    """[D7] What cannot be reached is skipped."""
    told = {"tool": "note", "args": {"name": "{steps.a.was}"}}
    definition = flow(
        step("a"), step("b", "a", input=told), step("c", "b"), step("other"),
        entry_points={"late": {"start": ["b"], "results": {"a": {"was": "given {input}"}}}},
    )  # fmt: skip
    async with working(app):
        status = await ended(app.async_client, definition, 5, entry_point="late")
    assert seen == ["given 5", "c"]
    assert status.result == {"c": {"was": "c"}}


async def test_what_would_wait_for_itself_is_an_error_and_hangs_nothing(
    app: Any, aclient: Any, working: Any, seen: list[str]
) -> None:
    """[D3] A definition that nobody has checked, as an older program may have stored it."""
    for needs, way in ((["b"], "a -> b -> a"), (["x", "b"], "a -> b -> a"), (["x"], "a -> x")):
        wrong = flow(step("a", *needs), step("b", "a"))
        async with working(app):
            run = await aclient.submit("definition", {"definition": wrong})
            status = await run.wait(60)
        assert (status.state, status.error.type) == ("failed", "InvalidOption")
        assert f"can never end: {way}" in status.error.message
    assert seen == []


class Sum(KindInput):
    numbers: list[int]


async def test_a_kind_of_your_own_takes_a_class_and_one_line(app: Any, working: Any) -> None:
    """[D6]"""

    class Add(Work):
        name, Input = "add", Sum

        async def do(self, given: Sum, known: Any) -> int:
            return sum(given.numbers)

    class Nap(Flow):
        name, Input = "nap", KindInput

        async def carry(self, given: BaseModel, at: Any) -> str:
            await at.ctx.sleep(0.01)
            return f"{at.step.id} slept"

    app.definitions(kinds=[Add(), Nap()])
    numbers = {"numbers": ["{input}", 2]}
    definition = flow(step("a", kind="add", input=numbers), step("b", kind="nap"))
    async with working(app):
        status = await ended(app.async_client, definition, 40)
    assert status.result == {"a": 42, "b": "b slept"}


async def test_a_map_does_work_or_runs_children_for_each_item(
    app: Any, working: Any, seen: list[str]
) -> None:
    """[D6] `errors: keep` has an error in the place of its value; a child may be a definition."""

    @app.workflow("double")
    async def double(ctx: Context, n: int) -> int:
        return 2 * n

    inner = flow(step("x"), name="inner", output="{input}!")
    app.definitions().known.definitions["inner"] = app.definitions().read(inner)
    noted = {"tool": "note", "args": {"name": "{item}{index}"}}
    definition = flow(
        step("m", kind="map", input={"over": "{input}", "kind": "tool", "input": noted,
                                     "errors": "keep", "limit": 2}),
        step("d", kind="map", input={"over": [1, 2], "kind": "run",
                                     "input": {"runner": "double", "input": "{item}"}}),
        step("i", "m", kind="run", input={"definition": "inner", "input": "{steps.m[0].was}"}),
        output={"m": "{steps.m}", "d": "{steps.d}", "i": "{steps.i}"},
    )  # fmt: skip
    async with working(app):
        status = await ended(app.async_client, definition, ["a", "!"])
    assert status.result["m"][0] == {"was": "a0"}
    assert "no !1" in status.result["m"][1]["error"]
    assert (status.result["d"], status.result["i"]) == ([2, 4], "a0!")


async def test_a_step_goes_to_the_queue_and_to_the_capability_that_it_names(
    app: Any, working: Any, seen: list[str], url: str, settings: Any, real: Any
) -> None:
    """[D7] It waits for a worker that has it, and `why` says so; where none ever had, no run is."""
    client = app.async_client
    definition = flow(step("a", queue="other"), step("b", "a", requires="gpu", timeout=30))
    with pytest.raises(InvalidOption, match="step 'b' requires 'gpu', which no worker has"):
        await client.submit_definition(definition)
    other = Stepflow(url, settings=settings)
    on_gpu: list[str] = []

    @other.tool
    def note(name: str) -> None:
        on_gpu.append(name)

    other.definitions(capabilities=["gpu"])
    async with working(app, queues=["default", "other"]):
        async with working(other, queues=["elsewhere"]):

            async def known() -> bool:
                return b"step:definition.gpu" in real.zrange("stepflow:versions", 0, -1)

            await until(known)
        run = await client.submit_definition(definition)

        async def waits() -> Any:
            said = (await client.why(run.id)).sentence
            return said if "gpu" in said else None

        assert "no live worker knows capability 'gpu'" in await until(waits)
        assert (seen, on_gpu) == (["a"], [])
        async with working(other):
            status = await run.wait(60)
    assert (status.state, on_gpu) == ("succeeded", ["b"])


@pytest.mark.crash
async def test_an_agent_is_asked_as_a_child(app: Any, working: Any) -> None:
    """[D6]"""
    from pydantic_ai import Agent
    from pydantic_ai.models.test import TestModel

    from stepflow.agents.pydantic_ai import Durable

    model = TestModel(custom_output_text="it rains", call_tools=[])
    app.agent("weather", Agent(model, name="weather", capabilities=[Durable()]))
    asked = {"agent": "weather", "prompt": "And in {input}?"}
    definition = flow(step("ask", kind="agent", input=asked))
    with pytest.raises(InvalidDefinition, match="no agent is called 'wether'; did you mean"):
        app.definitions().read(flow(step("a", kind="agent", input={**asked, "agent": "wether"})))
    async with working(app):
        status = await ended(app.async_client, definition, "Bern")
    assert status.result == {"ask": "it rains"}


SECRET = "s3cr3t/value+with=signs"


async def test_secrets_are_in_no_key_of_redis_in_no_line_of_the_log_and_not_in_the_archive(
    app: Any,
    working: Any,
    real: Any,
    caplog: Any,
    monkeypatch: Any,
    seen: list[str],
    tmp_path: Path,
) -> None:
    """[D5] Whatever comes back from a program or a tool, well or badly, here or elsewhere."""
    app.registry.archive = ArchiveSettings(url=f"sqlite:///{tmp_path}/archive.db")
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("TOKEN", SECRET)

    @app.tool
    async def leak(token: str, how: str) -> Any:
        assert token == f"Bearer {SECRET}"
        if how == "raise":
            raise ValueError(f"bad {token}", {"token": token})
        if how == "misfit":
            return int(token)
        return {"token": token, token: [token]}

    app.definitions(env=["TOKEN"], scripts=True)

    def leaking(how: str) -> dict[str, Any]:
        return {"tool": "leak", "args": {"token": "Bearer {env.TOKEN}", "how": how}}

    once = {"attempts": 1}
    printed = {"bash": 'echo "$T"; echo "$T" >&2; exit $1', "env": {"T": "{env.TOKEN}"}}
    definition = flow(
        step("a", input=leaking("return")), step("b", input=leaking("raise"), retry=once),
        step("c", input=leaking("misfit"), retry={"attempts": 2, "delay": "1ms"}),
        step("d", kind="script", input={**printed, "args": ["0"]}),
        step("e", kind="script", input={**printed, "args": ["1"]}, retry=once),
        step("f", input=leaking("return"), queue="other"),
        step("g", input=leaking("raise"), queue="other", retry=once),
        step("m", kind="map", retry=once,
             input={"over": ["return", "raise"], "errors": "keep", "kind": "tool",
                    "input": leaking("{item}")}),
        env=["TOKEN"],
    )  # fmt: skip
    async with working(app, queues=["default", "other"]):
        status = await ended(app.async_client, definition)
        steps = {each.key: each.value for each in await app.async_client.steps(status.id)}
        with Archive(app.registry.archive) as archive:
            await until(lambda: len(archive.list(Where(run_id=status.id)).runs))
        archived = b"".join(file.read_bytes() for file in tmp_path.iterdir())
        everything = dump(real) + caplog.text.encode() + archived
    assert "step 'b': ValueError: ('bad Bearer ***'" in status.error.message
    assert steps["a"] == {"token": "Bearer ***", "Bearer ***": ["Bearer ***"]}
    assert steps["d"] == {"output": "***"}
    assert "exit code 1: ***" in status.error.message
    hits = [form for form in (SECRET, "s3cr3t", "with=signs") if form.encode() in everything]
    assert hits == []
    assert b"Bearer ***" in archived
    real.set("stepflow:kv:x", SECRET, ex=60)
    assert SECRET.encode() in dump(real)  # it would have been seen


def dump(real: Any) -> bytes:
    """All keys of the server with all that they hold, as bytes."""
    return b"".join(key + (real.dump(key) or b"") + plain(real, key) for key in real.keys("*"))


def plain(real: Any, key: bytes) -> bytes:
    """What a key holds, uncompressed: a dump may be packed."""
    match real.type(key):
        case b"string":
            return real.get(key) or b""
        case b"hash":
            return b"".join(name + value for name, value in real.hgetall(key).items())
        case b"list":
            return b"".join(real.lrange(key, 0, -1))
        case b"set":
            return b"".join(real.smembers(key))
        case b"zset":
            return b"".join(real.zrange(key, 0, -1))
        case b"stream":
            return b"".join(
                name + value for _, item in real.xrange(key) for name, value in item.items()
            )
    return b""


async def test_a_retry_tries_all_failed_steps_again_and_keeps_the_rest(
    app: Any, working: Any
) -> None:
    """[D3] [D8] Whichever failed first, and whatever ended after it."""
    called: list[str] = []

    @app.tool
    async def act(name: str) -> str:
        called.append(name)
        if name in "bg" and called.count(name) == 1:
            raise PermanentError("not yet")
        return name

    def act_as(name: str, *needs: str) -> dict[str, Any]:
        return step(name, *needs, input={"tool": "act", "args": {"name": name}})

    nap = step("nap", kind="sleep", input={"for": "30ms"})
    steps = [act_as("a"), act_as("b", "a"), act_as("c", "b"), nap, act_as("g", "nap"),
             act_as("last", "nap")]  # fmt: skip
    async with working(app):
        run = await app.async_client.submit_definition(flow(*steps))
        assert (await run.wait(60)).state == "failed"
        await app.async_client.retry(run.id)
        assert (await run.wait(60)).result == {"c": "c", "g": "g", "last": "last"}
    assert sorted(called) == ["a", "b", "b", "c", "g", "g", "last"]
