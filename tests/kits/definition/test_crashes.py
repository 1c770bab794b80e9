"""A definition whose worker is lost at each of its writes ends the same."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from stepflow import PermanentError, Settings
from stepflow.core.journal import Entry
from stepflow.core.outcomes import ContinueAsNew, Fail, Park, Raised, Succeed
from stepflow.engine.registry import Registry
from stepflow.errors import ClaimLost
from stepflow.kits.definition.carry import Carrying
from stepflow.kits.definition.definitions import Definitions
from stepflow.kits.definition.submission import payload_of
from tests.kits.dying import dying_at
from tests.kits.memory import FamilyRuntime, activate

pytestmark = pytest.mark.crash

EVERY_KIND = {
    "name": "every",
    "steps": [
        {"id": "a", "kind": "tool", "input": {"tool": "act", "args": {"name": "a"}}},
        {"id": "prog", "kind": "script", "depends_on": ["a"],
         "input": {"bash": "echo $((N + 1))", "env": {"N": "{input}"}}},
        {"id": "pick", "kind": "condition", "depends_on": ["a"],
         "input": {"cases": [{"when": "input > 1", "then": "ask"}], "else": "other"}},
        {"id": "ask", "kind": "wait", "depends_on": ["pick"],
         "input": {"prompt": "n?", "schema": {"type": "integer"}, "timeout": "1d"}},
        {"id": "other", "kind": "sleep", "depends_on": ["pick"], "input": {"for": "1d"}},
        {"id": "nap", "kind": "sleep", "depends_on": ["ask"], "input": {"for": "1h"}},
        {"id": "left", "kind": "tool", "depends_on": ["a"], "skip_if": "steps.a.n == 1",
         "input": {"tool": "act", "args": {"name": "left"}}},
        {"id": "child", "kind": "run", "depends_on": ["nap"],
         "input": {"definition": "inner", "input": "{steps.ask}"}},
        {"id": "each", "kind": "map", "depends_on": ["prog"],
         "input": {"over": [1, 2], "kind": "tool",
                   "input": {"tool": "act", "args": {"name": "item {item}"}}}},
        {"id": "say", "kind": "reply", "depends_on": ["each"], "input": {"text": "{steps.prog}"}},
        {"id": "tell", "kind": "emit", "depends_on": ["say"], "input": {"data": "{steps.prog}"}},
        {"id": "mark", "kind": "checkpoint", "depends_on": ["tell"], "input": {"name": "m"}},
    ],
    "output": {"ask": "{steps.ask}", "child": "{steps.child}", "prog": "{steps.prog}",
               "each": "{steps.each}", "mark": "{steps.mark.checkpoint}", "left": "{steps.left}"},
}  # fmt: skip
RESULT = {
    "ask": 7, "child": "ended 7", "prog": 4, "each": [{"n": 1}, {"n": 1}], "mark": "m",
    "left": None,
}  # fmt: skip

FAILING = {
    "name": "failing",
    "steps": [
        {"id": name, "kind": "tool", "depends_on": needs,
         "input": {"tool": "act", "args": {"name": name}},
         "compensate": {"kind": "tool",
                        "input": {"tool": "act", "args": {"name": f"undo {name} {{result.n}}"}}}}
        for name, needs in (("a", []), ("b", ["a"]), ("bad", ["b"]), ("d", ["bad"]))
    ],
}  # fmt: skip


class Lost:
    """A run of a definition in memory, which may lose its worker at a write."""

    def __init__(self, definition: dict[str, Any], given: Any = None) -> None:
        self.runtime, self.done = FamilyRuntime(), Counter[str]()
        self.book = Definitions(Registry(), Settings())
        self.book.allow(scripts=True)
        self.book.add_tool(self.act, "act")
        self.book.known.definitions["inner"] = self.book.read(
            {"name": "inner", "steps": [{"id": "x", "kind": "sleep", "input": {"for": 1}}]}
        )
        self.payload = payload_of(self.book.read(definition), given)

    async def act(self, name: str) -> Any:
        self.done[name] += 1
        if name == "bad":
            raise PermanentError(f"no {name}")
        return {"n": 1}

    async def go(self, dies_at: int | None = None) -> Any:
        """Carry it to its end; people answer 7, and children end with what they were given."""
        runtime, book = self.runtime, self.book
        runtime.crash_after = dies_at
        while True:
            outcome = await activate(
                runtime,
                lambda ctx: Carrying(ctx, book.known, book._remote, self.payload).carry(),
            )
            assert not isinstance(outcome, ContinueAsNew)
            if not isinstance(outcome, Park):
                return outcome
            if runtime.asks:
                runtime.answer(7)
            for run_id in runtime.children.keys() - runtime.answered.keys():
                given = runtime.children[run_id].payload["input"]
                runtime.end(run_id, f"ended {given}")
            if outcome.due_at is not None:
                runtime.clock = max(runtime.clock, outcome.due_at)

    async def die_at(self, write: int) -> None:
        with pytest.raises(ClaimLost):
            await self.go(dies_at=write)

    @property
    def entries(self) -> list[Entry]:
        return [Entry.read(each) for each in self.runtime.journal]


async def writes_of(definition: dict[str, Any], given: Any = None) -> int:
    whole = Lost(definition, given)
    await whole.go()
    return len(whole.runtime.journal)


async def test_a_crash_at_every_write_ends_the_same() -> None:
    """[D8] [D6] [D3] Every kind; nothing that is recorded is done again."""
    for write in range(1, await writes_of(EVERY_KIND, 3) + 1):
        run = Lost(EVERY_KIND, 3)
        await run.die_at(write)
        assert await run.go() == Succeed(RESULT), write
        assert len(run.runtime.children) == 1
        assert sum(run.done.values()) <= 2 + 2 + 1, write
        keys = [each.place for each in run.entries if each.place.startswith("key:")]
        assert set(Counter(keys).values()) == {1}


async def test_a_crash_at_every_write_undoes_the_same() -> None:
    """[D8] [D3]"""
    for write in range(1, await writes_of(FAILING) + 1):
        run = Lost(FAILING)
        await run.die_at(write)
        outcome = await run.go()
        assert isinstance(outcome, Fail | Raised) or outcome.error is not None
        assert list(run.done) == ["a", "b", "bad", "undo b 1", "undo a 1"], write
        assert sum(run.done.values()) <= 6


@pytest.mark.parametrize("write", range(1, 8))
async def test_a_worker_lost_at_any_write_on_a_real_server(
    app: Any, working: Any, real: Any, write: int
) -> None:
    """[D8] The write is carried out, and the reply comes to nobody."""
    seen: list[str] = []

    @app.tool
    def act(name: str) -> str:
        seen.append(name)
        return name

    steps = [
        {"id": "a", "kind": "tool", "input": {"tool": "act", "args": {"name": "a"}}},
        {"id": "nap", "kind": "sleep", "depends_on": ["a"], "input": {"for": "10ms"}},
        {"id": "b", "kind": "tool", "depends_on": ["a"], "queue": "default",
         "input": {"tool": "act", "args": {"name": "b"}}},
        {"id": "c", "kind": "tool", "depends_on": ["b", "nap"],
         "input": {"tool": "act", "args": {"name": "{steps.b}c"}}},
    ]  # fmt: skip
    async with working(app) as worker, dying_at(write, "definition", worker, real) as died:
        run = await app.async_client.submit_definition({"name": "lost", "steps": steps})
        assert await run.result(60) == {"c": "bc"}
    assert died
    assert Counter(seen) <= Counter(["a", "a", "b", "bc", "bc"])
