"""What an event or a message begins: runs of definitions, and signals to runs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

from stepflow.errors import InvalidExpression, InvalidOption
from stepflow.kits.definition.model import Definition
from stepflow.kits.definition.submission import spec_of
from stepflow.kits.definition.triggers.model import OnEvent, OnMessage, OnWebhook
from stepflow.kits.definition.values.expressions import evaluate
from stepflow.kits.definition.values.templates import as_text, fill

#: what begins a run, or is sent to one: `RunSpec`, or (run id, signal, payload)
Begun = Any


def input_of(trigger: OnEvent | OnMessage | OnWebhook, event: Any) -> Any:
    """Give the input that *trigger* makes of what came."""
    if trigger.input is None:
        return event
    return fill(trigger.input, {"event": event}).value


def on_event(
    definitions: Mapping[str, Definition], topic: str, data: Any, event_id: str
) -> list[Begun]:
    """Give all that an event begins; the same event makes the same runs and signals."""
    return [
        _begun(definition, trigger, number, data, event_id)
        for definition in definitions.values()
        for number, trigger in enumerate(definition.triggers)
        if isinstance(trigger, OnEvent) and _matches(trigger, topic, data)
    ]


def _matches(trigger: OnEvent, topic: str, data: Any) -> bool:
    wanted = trigger.topic
    is_below = wanted.endswith(".*") and topic.startswith(wanted[:-1])
    if topic != wanted and not is_below:
        return False
    try:
        return trigger.filter is None or bool(evaluate(trigger.filter, {"event": data}))
    except InvalidExpression:  # what came has not what the filter asks for
        return False


def _begun(
    definition: Definition, trigger: OnEvent, number: int, data: Any, event_id: str
) -> Begun:
    given = input_of(trigger, data)
    if trigger.signal is not None and trigger.run is not None:
        run = fill(trigger.run, {"event": data}).value
        return as_text(run), trigger.signal, given
    run_id = run_id_for(definition, f"event {number} {event_id}")
    return spec_of(definition, given, trigger.entry_point, {"run_id": run_id})


def run_id_for(definition: Definition, what: str) -> str:
    """Make the id of the run that *what* begins: the same again for the same."""
    digest = hashlib.blake2b(f"{definition.name}|{what}".encode(), digest_size=12).hexdigest()
    return f"{definition.name}-{digest}"


def on_message(definitions: Mapping[str, Definition], text: str, message_id: str) -> Begun:
    """
    Give the run that a text begins: by its exact command, an alias, else the catch-all.

    Raises InvalidOption where nothing takes it.
    """
    command, _, args = text.strip().partition(" ")
    event = {"text": text, "command": command, "args": args.strip()}
    found = {name: each for each in messages_of(definitions) for name in names_of(each[1])}
    taken = found.get(command) or found.get(None)
    if taken is None:
        known = ", ".join(sorted(filter(None, found))) or "none"
        msg = f"no definition takes the message {text[:100]!r}; commands: {known}"
        raise InvalidOption(msg)
    definition, trigger = taken
    run_id = run_id_for(definition, f"message {message_id}")
    return spec_of(definition, input_of(trigger, event), trigger.entry_point, {"run_id": run_id})


def messages_of(
    definitions: Mapping[str, Definition],
) -> Iterator[tuple[Definition, OnMessage]]:
    """Go through the triggers of messages."""
    for definition in definitions.values():
        for trigger in definition.triggers:
            if isinstance(trigger, OnMessage):
                yield definition, trigger


def names_of(trigger: OnMessage) -> list[str | None]:
    """Give the commands that a trigger takes; None stands for all others."""
    return [trigger.command, *trigger.aliases]


def taken_twice(
    definition: Definition, definitions: Mapping[str, Definition]
) -> Iterator[tuple[int, str]]:
    """Find the commands, and the paths, of *definition* that another one has taken."""
    others = {name: each for name, each in definitions.items() if name != definition.name}
    commands = {name: each[0].name for each in messages_of(others) for name in names_of(each[1])}
    paths = {
        trigger.path: each.name
        for each in others.values()
        for trigger in each.triggers
        if isinstance(trigger, OnWebhook)
    }
    for number, trigger in enumerate(definition.triggers):
        for name in names_of(trigger) if isinstance(trigger, OnMessage) else ():
            if name in commands:
                what = "the catch-all" if name is None else f"command {name!r}"
                yield number, f"{what} is taken by definition {commands[name]!r}"
            commands[name] = definition.name
        if isinstance(trigger, OnWebhook):
            if trigger.path in paths:
                yield (
                    number,
                    f"path {trigger.path!r} is taken by definition {paths[trigger.path]!r}",
                )
            paths[trigger.path] = definition.name
