"""What a submit says of a run, and the options of it that are kept: headers, webhooks, policy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from stepflow.core.backoff import RetryPolicy
from stepflow.core.children import Parent
from stepflow.core.run import PRIORITIES, Priority, Run
from stepflow.core.schedules.scheduled import Scheduled
from stepflow.engine.once.options import Debounce, Singleton
from stepflow.errors import InvalidOption, ReservedHeader, StepflowError, UnreadableValue, shown
from stepflow.store.durability.level import Durability
from stepflow.store.values.codec import pack, unpack

#: header keys under this prefix are the runtime's own
RESERVED_PREFIX = "workflow."
#: priorities as text: names and digits
_PRIORITIES = {
    **{name: int(level) for name, level in Priority.__members__.items()},
    **{str(level): level for level in range(PRIORITIES)},
}
#: the headers that keep the place of a run in a trace, by their names in W3C Trace Context
TRACE_HEADERS = {name: f"{RESERVED_PREFIX}{name}" for name in ("traceparent", "tracestate")}


@dataclass(frozen=True, slots=True)
class RunSpec:
    """
    One run to submit.

    *timeout* counts from submit; *delay* (seconds or timedelta) or *start_at* (unix seconds or
    aware datetime) keeps the first step back. *webhooks* are Webhook objects or URLs. *on_conflict*
    "restart" starts an ended run with that id again. *version* is the workflow's, by default the
    newest that the app at hand registers, or that live workers have.
    """

    runner: str
    payload: Any = None
    run_id: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    queue: str = "default"
    priority: str | int = "normal"
    delay: float | timedelta | None = None
    start_at: float | datetime | None = None
    timeout: float | timedelta | None = None
    webhooks: Sequence[Any] = ()
    retry: RetryPolicy | None = None
    on_conflict: Literal["return", "restart"] = "return"
    version: int | None = None
    #: whether a runner that no live worker knows is an error
    strict: bool = False
    #: by these lists find the run; at most 8, keys and values of at most 64 bytes
    tags: Mapping[str, str] = field(default_factory=dict)
    #: the lane in which it waits for its turn, of a fair queue; by default what the setting
    #: `queues.fair` says of the queue
    lane: str | None = None
    #: the key of which at most one run lives at a time
    singleton: str | Singleton | None = None
    #: the key whose submits are one run, which begins some time after the last of them
    debounce: Debounce | None = None
    #: for which key a limit counts the run: name -> key; over what its runner's limits say
    limits: Mapping[str, str] = field(default_factory=dict)
    #: how much of a limit's rate the run takes: name -> units
    units: Mapping[str, int] = field(default_factory=dict)
    #: what happens at the timeout: what the run has done is undone, or it ends as it stands
    on_timeout: Literal["undo", "end"] = "undo"
    #: where the run must be before its submit returns; None as the app says
    durability: Durability | None = None
    #: set by the runtime: all limits of the run, as its record has them
    uses: str = ""
    #: set by the runtime for the children of a run
    parent: Parent | None = None
    #: set by the runtime for the children of children: the run that they descend from
    family: str = ""
    #: set by telemetry: where the run stands in a trace, as W3C headers
    trace: Mapping[str, str] = field(default_factory=dict)
    #: set by the runtime for the runs of a schedule: which one, and for which time
    scheduled: Scheduled | None = None

    @property
    def once(self) -> Singleton | Debounce | None:
        """The key that it shares with other submits; InvalidOption for two of them, or for none."""
        if self.singleton is None and self.debounce is None:
            return None
        if self.singleton is not None and self.debounce is not None:
            msg = "submit takes singleton or debounce, not both"
            raise InvalidOption(msg)
        if isinstance(self.singleton, str):
            return Singleton(self.singleton)
        given = self.debounce if self.singleton is None else self.singleton
        if not isinstance(given, Debounce if self.singleton is None else Singleton):
            msg = (
                f"{shown(given)} is no key of a run; write singleton='key', "
                "singleton=Singleton(...) or debounce=Debounce('key', wait)"
            )
            raise InvalidOption(msg)
        return given


@dataclass(frozen=True, slots=True)
class StoredOptions:
    """The options of a run that are kept with it, read back; *headers* are the user's own."""

    headers: Mapping[str, str] = field(default_factory=dict)
    webhooks: Sequence[dict[str, Any]] = ()
    policy: RetryPolicy | None = None
    parent: Parent | None = None
    #: where the run stands in a trace, as W3C headers
    trace: Mapping[str, str] = field(default_factory=dict)
    #: of a child's child: `<id>.<generation>` of the run that it descends from
    family: str = ""

    def family_of(self, run: Run) -> str:
        """Name the run that *run*, whose options these are, descends from; itself for no child."""
        if self.family:
            return self.family
        if self.parent is not None:
            return f"{self.parent.run_id}.{self.parent.generation}"
        return f"{run.id}.{run.generation}"


#: those of a run without headers, webhooks or a policy of its own
NO_OPTIONS = StoredOptions()


def check_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Give the headers back as a dict of strings; raises ReservedHeader or InvalidOption."""
    given: object = headers
    if not isinstance(given, Mapping):
        msg = f"headers are {shown(given)}; they are a mapping of str to str"
        raise InvalidOption(msg)
    items: Iterable[tuple[object, object]] = given.items()
    for key, value in items:
        if not isinstance(key, str) or not isinstance(value, str):
            msg = f"header {shown(key)}: {shown(value)} is not str to str; write both as text"
            raise InvalidOption(msg)
        if key.startswith(RESERVED_PREFIX):
            raise ReservedHeader(key)
    return dict(headers)


def read_priority(priority: str | int) -> int:
    """Read a priority: 0 to 9, as a number or its digit, or the name of one."""
    level: object = priority
    if isinstance(level, str):
        level = _PRIORITIES.get(level.upper())
    if isinstance(level, int) and not isinstance(level, bool) and 0 <= level < PRIORITIES:
        return int(level)
    msg = f"priority {shown(priority)} is not high, normal or low, nor 0 (first) to 9"
    raise InvalidOption(msg)


def pack_options(spec: RunSpec, limit: int) -> bytes:
    """Pack what the run keeps of its spec; empty when there is nothing."""
    kept: dict[str, Any] = {}
    headers = check_headers(spec.headers) if spec.headers else {}
    if spec.trace:
        headers |= {TRACE_HEADERS[name]: value for name, value in spec.trace.items()}
    if spec.scheduled is not None:
        headers |= spec.scheduled.headers()
    if headers:
        pack(headers, what="the header set", limit=limit, in_clear=True)
        kept["headers"] = headers
    if spec.webhooks:
        kept["webhooks"] = [webhook.as_dict() for webhook in spec.webhooks]
    if spec.retry is not None:
        kept["policy"] = spec.retry.as_dict()
    if spec.parent is not None:
        kept["parent"] = list(astuple(spec.parent))
    if spec.family:
        kept["family"] = spec.family
    return pack(kept, what="the run's spec", limit=limit, in_clear=True) if kept else b""


def read_options(data: bytes | None) -> StoredOptions:
    """
    Read back what the run kept of its spec.

    Raises UnreadableValue, also for what a later version wrote.
    """
    if not data:
        return NO_OPTIONS
    kept = unpack(data)
    try:
        policy = RetryPolicy(**kept["policy"]) if "policy" in kept else None
        parent = Parent(*kept["parent"]) if "parent" in kept else None
        headers = dict(kept.get("headers", {}))
        trace = _take_trace(headers)
        options = StoredOptions(
            headers, list(kept.get("webhooks", ())), policy, parent, trace,
            str(kept.get("family", "")),
        )  # fmt: skip
    except (TypeError, ValueError, KeyError, AttributeError, StepflowError) as error:
        raise UnreadableValue(f"its spec is not as this version writes it ({error})") from error
    if _is_sound(options):
        return options
    raise UnreadableValue("its spec is not as this version writes it")


def _take_trace(headers: dict[str, str]) -> dict[str, str]:
    """Take the reserved headers of a trace out of *headers*: they are not for user code."""
    return {
        name: headers.pop(reserved)
        for name, reserved in TRACE_HEADERS.items()
        if reserved in headers
    }


def _is_sound(options: StoredOptions) -> bool:
    """Whether each part has the type that `pack_options` writes; others may have written it."""
    parent = options.parent
    texts = [*options.headers, *options.headers.values(), *options.trace.values()]
    return (
        all(isinstance(text, str) for text in texts)
        and all(isinstance(webhook, dict) for webhook in options.webhooks)
        and (
            parent is None
            or all(map(isinstance, astuple(parent), (str, int, str, int, int | None)))
        )
    )


def without_secrets(data: bytes) -> bytes:
    """Drop the webhooks, whose secrets nothing but the run itself may keep, and the parent."""
    kept = unpack(data) if data else {}
    kept = {name: held for name, held in kept.items() if name not in {"webhooks", "parent"}}
    return pack(kept, what="the run's spec", in_clear=True) if kept else b""


def without_parent(data: bytes) -> bytes:
    """Drop the parent from what a run kept of its spec, for a fork, which has none."""
    kept = unpack(data) if data else {}
    if "parent" not in kept:
        return data
    del kept["parent"]
    kept.pop("family", None)
    return pack(kept, what="the run's spec", in_clear=True) if kept else b""
