"""What the steps of runs have of limits, or wait for, as it is looked at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from stepflow.core.limits.use import Held, read_held, run_of_place
from stepflow.store.calls import Call, command, flat_map
from stepflow.store.keys import Keys


class Ask(NamedTuple):
    """What one step asks for: *held* while it waits in line, *token* of the claim that has it."""

    name: str
    token: str = ""
    held: Held | None = None


def load_asks(keys: Keys, run_id: str) -> Call[Mapping[str, Ask]]:
    """Read what the steps of a run ask for, by step."""

    def read(reply: Any) -> dict[str, Ask]:
        rows = flat_map(reply).items()
        return {step.decode("utf-8", "replace"): _read(text) for step, text in rows if step}

    return command("HGETALL", f"{keys.run(run_id)}:asks", read=read, misfit=dict)


def load_ask(keys: Keys, place: str) -> Call[Ask]:
    """Read what the step asks for that has a *place* in a line or a slot."""
    step = place.partition("/")[2]
    return command(
        "HGET", f"{keys.run(run_of_place(place))}:asks", step,
        read=lambda reply: _read(reply or b""), misfit=lambda: Ask(""),
    )  # fmt: skip


def _read(text: bytes) -> Ask:
    token, held, name, *_ = [*text.decode("utf-8", "replace").split("\n"), "", "", ""]
    return Ask(name, token, read_held(held))
