"""
Settings: what you may set by environment, `stepflow.toml` or `[tool.stepflow]`.

The variables are `STEPFLOW_<GROUP>_<FIELD>`. A flag or argument beats the environment, the
environment beats the files, the files beat the defaults written here. The docstring of each field
is its row in docs/reference/settings.md.
"""

from __future__ import annotations

import json
import logging
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from stepflow.errors import InvalidOption
from stepflow.value_settings import EncryptionSettings, OffloadSettings, ProcessSettings

log = logging.getLogger("stepflow.settings")

#: how our variables begin
_PREFIX = "STEPFLOW_"
#: variables that begin as ours do and are no settings
_VARIABLES = ("APP", "COMPLETE", "DEBUG", "READY_FD", "REDIS_SERVER", "SUPERVISOR", "TEST_SERVER")
#: what Kubernetes sets in every container for a Service called stepflow or stepflow-...
_OF_KUBERNETES = re.compile(r"(^|_)(SERVICE_HOST|(SERVICE_)?PORT(_\w+)?)$")
#: how alike a name must be to be suggested
_ALIKE = 0.6

#: seconds: upper bounds of settings
HOUR_S, DAY_S, CENTURY_S = 3600.0, 86_400.0, 36_525 * 86_400.0
#: bytes: what one value in Redis may be at most
MOST_BYTES = 512 * 1_048_576


def _split(value: object) -> object:
    return (
        tuple(part.strip() for part in value.split(",") if part.strip())
        if isinstance(value, str)
        else value
    )


class _Group(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class RedisSettings(_Group):
    """Where Redis is and how to talk to it."""

    url: str | None = Field(default=None, repr=False)
    """Where Redis is, as a URL; else REDIS_URL, else the embedded server."""
    namespace: str = Field(default="stepflow", pattern=r"^[A-Za-z0-9_-]{1,32}$")
    """The prefix of all keys; two name spaces are two stepflows on one Redis."""
    connect_timeout_s: float = Field(default=5.0, gt=0, le=HOUR_S)
    """Seconds for one try to connect, with looking up the name or the primary."""
    reply_timeout_s: float = Field(default=30.0, gt=0, le=HOUR_S)
    """Seconds to wait for a reply when no new connection gets one either."""
    retry_for_s: float = Field(default=10.0, ge=0, le=DAY_S)
    """Seconds that a client's call may take in all; workers try for ever."""
    replicas: int = Field(default=1, ge=1, le=100)
    """Replicas that must have a write before it counts as done, at durability `replicated`."""


class LimitSettings(_Group):
    """How large a call, a mailbox or a list of webhooks may be."""

    payload_bytes: int = Field(default=1_048_576, gt=0, le=MOST_BYTES)
    """Packed size of a payload, a result or a set of headers."""
    mailbox_bytes: int = Field(default=16 * 1_048_576, gt=0, le=MOST_BYTES)
    """Packed size of all the signals that wait in the mailbox of one run."""
    nested_runs: int = Field(default=8, ge=1, le=64)
    """How deep runs may be nested: the child of a run without a parent is at depth 1."""
    webhooks: int = Field(default=10, ge=0)
    """Webhooks that one run may have."""
    output_item_bytes: int = Field(default=65_536, gt=0, le=MOST_BYTES)
    """Packed size of one item that a step emits."""
    output_items: int = Field(default=10_000, ge=1, le=1_000_000)
    """Items that the output stream of one run keeps; the oldest go first."""
    output_bytes: int = Field(default=8 * 1_048_576, gt=0, le=MOST_BYTES)
    """Packed size of all that the output stream of one run keeps."""


class WorkerSettings(_Group):
    """How a worker process behaves."""

    concurrency: int = Field(default=100, ge=1)
    """Steps in progress at once in one process."""
    processes: int = Field(default=1, ge=1)
    """Worker processes under one supervisor."""
    lease_s: float = Field(default=15.0, gt=0, le=DAY_S)
    """Seconds a claim lasts without renewal; workers renew it three times in a lease."""
    grace_s: float = Field(default=30.0, ge=0, le=DAY_S)
    """Seconds that running steps have to finish after SIGTERM."""
    stop_grace_s: float = Field(default=5.0, ge=0, le=DAY_S)
    """Seconds that a step has to end after its timeout, its run's deadline or a cancel."""
    slice_s: float = Field(default=0.1, ge=0, le=HOUR_S)
    """Seconds a worker may stay with one run while others wait; ten times that for workflows."""
    batch: int = Field(default=64, ge=1, le=1000)
    """Claims that a worker takes at once; at most 1,000."""
    hook_slots: int = Field(default=256, ge=1)
    """Hook deliveries in progress at once in one process, beside its steps."""
    max_crashes: int = Field(default=10, ge=0)
    """Times in a row that a step may be lost with its worker before its run fails."""
    redeliver_after_s: float = Field(default=5.0, gt=0, le=DAY_S)
    """Seconds that a queue entry must be missing before its run is queued again."""


#: what a finished run keeps: all, its result alone, or all where it has failed
Keep = Literal["all", "result", "failed"]


class ResultSettings(_Group):
    """How long the records of one runner's finished runs are kept, in seconds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    result_s: float | None = Field(default=None, gt=0, le=CENTURY_S)
    succeeded_s: float | None = Field(default=None, gt=0, le=CENTURY_S)
    failed_s: float | None = Field(default=None, gt=0, le=CENTURY_S)
    cancelled_s: float | None = Field(default=None, gt=0, le=CENTURY_S)
    keep: Keep | None = None


def _parsed(value: object) -> object:
    return json.loads(value) if isinstance(value, str) else value


#: for a runner without settings of its own
_ALL_RUNNERS = ResultSettings()


class RetentionSettings(_Group):
    """How long Redis keeps what has ended."""

    result_s: float = Field(default=7 * 86400.0, gt=0, le=CENTURY_S)
    """Seconds to keep the record of a finished run."""
    succeeded_s: float | None = Field(default=None, gt=0, le=CENTURY_S)
    """The same for a run that has succeeded; RESULT_S without one."""
    failed_s: float | None = Field(default=None, gt=0, le=CENTURY_S)
    """The same for a run that has failed; RESULT_S without one."""
    cancelled_s: float | None = Field(default=None, gt=0, le=CENTURY_S)
    """The same for a run that was cancelled; RESULT_S without one."""
    runners: Annotated[Mapping[str, ResultSettings], BeforeValidator(_parsed)] = Field(default={})
    """The same by runner, as JSON: `{"etl": {"result_s": 3600, "failed_s": 86400}}`."""
    keep: Keep = "all"
    """What a finished run keeps: `all`, its `result` alone, or all where it has `failed`."""
    output_s: float | None = Field(default=None, gt=0, le=CENTURY_S)
    """Seconds to keep the output of a finished run; as long as its record without one."""
    hook_s: float = Field(default=30 * 86400.0, gt=0, le=CENTURY_S)
    """Seconds to keep a hook delivery that was given up."""
    session_s: float = Field(default=30 * 86400.0, gt=0, le=CENTURY_S)
    """Seconds to keep the variables of a session after their last use."""
    delivered_s: float = Field(default=86400.0, gt=0, le=CENTURY_S)
    """Seconds to keep the record of a delivered hook."""

    def of_run(self, runner: str, end: str) -> float:
        """
        Give the seconds for which the record of a run of *runner* with that *end* is kept.

        What is set for its runner counts before what is set for all, and there the end first.
        """
        own = self.runners.get(runner, _ALL_RUNNERS)
        for seconds in (getattr(own, f"{end}_s"), own.result_s, getattr(self, f"{end}_s")):
            if seconds is not None:
                return float(seconds)
        return self.result_s

    def keeps_all(self, runner: str, end: str) -> bool:
        """Say whether a run of *runner* with that *end* keeps more than its input and result."""
        keep = self.runners.get(runner, _ALL_RUNNERS).keep or self.keep
        return keep == "all" or (keep == "failed" and end == "failed")


def _rules(value: object) -> object:
    """Check the rules by which queues are fair."""
    rules = _parsed(value)
    if isinstance(rules, Mapping):
        for queue, rule in rules.items():
            if not isinstance(rule, str) or not re.fullmatch(r"(header|tag)\..+", rule):
                msg = f"the rule of queue {queue!r} is neither header.NAME nor tag.NAME: {rule!r}"
                raise ValueError(msg)
    return rules


class QueueSettings(_Group):
    """Queues in which tenants take turns."""

    fair: Annotated[Mapping[str, str], BeforeValidator(_rules)] = Field(default={})
    """By queue, what says whose a run is, as JSON: `{"default": "header.tenant"}`, or a tag."""


class WebhookSettings(_Group):
    """How webhooks are delivered, and where they may go."""

    allow_cidrs: Annotated[tuple[str, ...], BeforeValidator(_split)] = ()
    """Private, loopback or reserved networks that webhooks may reach, comma-separated."""
    timeout_s: float = Field(default=15.0, gt=0, le=HOUR_S)
    """Seconds for one try to deliver a webhook."""
    per_host: int = Field(default=4, ge=1)
    """Deliveries in progress at once to one host, in one process."""


class ArchiveSettings(_Group):
    """The archive: a SQL database that keeps ended runs for longer than Redis."""

    url: str | None = Field(default=None, repr=False)
    """Where the archive is: `postgresql://user@host/database` or `sqlite:///path`; else none."""
    mirror: Literal["ends", "live"] = "ends"
    """What is archived: `ends` of runs, or also those that `live`, a second behind."""
    redact: Annotated[tuple[str, ...], BeforeValidator(_split)] = ()
    """Keys whose values are blanked before anything is archived, comma-separated."""
    hold_s: float = Field(default=30 * 86400.0, gt=0, le=CENTURY_S)
    """Seconds that Redis keeps an ended run, at least, while it waits to be archived."""
    batch: int = Field(default=100, ge=1, le=1000)
    """Ends that a worker writes in one transaction."""
    processes: int = Field(default=1, ge=0, le=64)
    """Processes that archive beside each `stepflow worker`; 0 if `stepflow archive work` does."""
    share: float = Field(default=0.02, gt=0, le=1)
    """The share of its time that such a process takes while steps run; 1 for all of it."""
    lag_s: float = Field(default=60.0, ge=0, le=DAY_S)
    """Seconds that an end waits for that, at most; then archiving takes the time that it needs."""
    pool_size: int = Field(default=5, ge=1, le=1000)
    """Connections to the archive that one process may have."""
    pool_timeout_s: float = Field(default=10.0, gt=0, le=HOUR_S)
    """Seconds to wait for a free one of these."""
    connect_timeout_s: float = Field(default=5.0, gt=0, le=HOUR_S)
    """Seconds for one try to connect."""
    statement_timeout_s: float = Field(default=30.0, gt=0, le=HOUR_S)
    """Seconds that one statement may take."""
    retry_most_s: float = Field(default=60.0, gt=0, le=DAY_S)
    """Seconds, at most, between two looks whether an archive that was away is back."""
    snapshot_every: int = Field(default=0, ge=0)
    """Steps after which a snapshot of a live run is taken, a second behind; 0 for never."""
    snapshots: int = Field(default=10, ge=1, le=10_000)
    """Snapshots that are kept of one run; the oldest go first."""

    def at(self, url: str) -> ArchiveSettings:
        """Give the same with another URL."""
        return self.model_copy(update={"url": url})


class Settings(_Group):
    """All settings, by group; an app or client reads them once, when it is made."""

    redis: RedisSettings = RedisSettings()
    limits: LimitSettings = LimitSettings()
    worker: WorkerSettings = WorkerSettings()
    retention: RetentionSettings = RetentionSettings()
    queues: QueueSettings = QueueSettings()
    webhook: WebhookSettings = WebhookSettings()
    archive: ArchiveSettings = ArchiveSettings()
    encryption: EncryptionSettings = EncryptionSettings()
    offload: OffloadSettings = OffloadSettings()
    process: ProcessSettings = ProcessSettings()
    durability: Literal["memory", "everysec", "fsync", "replicated"] = "everysec"
    """When a write counts as done: `fsync`, when it is on disk; `replicated`, on replicas too."""
    home: Path | None = None
    """The embedded server's folder; `./.stepflow` without one."""
    embedded: bool | None = None
    """
    Whether the embedded server may start when no URL is set: 1 without a warning, 0 never; else
    with a warning, unless at a terminal.
    """

    def __init__(self, **given: Any) -> None:
        values: dict[str, Any] = {}
        for source in (*(table for _, table in _files()), _environment(), given):
            for group, value in source.items():
                before = values.get(group)
                if isinstance(before, dict) and isinstance(value, dict):
                    values[group] = {**before, **value}
                else:
                    values[group] = value
        super().__init__(**values)


def _environment() -> dict[str, Any]:
    """Read the variables as a file would have them: `STEPFLOW_<GROUP>_<FIELD>`, or a name alone."""
    values: dict[str, Any] = {}
    for variable, value in os.environ.items():
        if not variable.upper().startswith(_PREFIX):
            continue
        name = variable[len(_PREFIX) :].lower()
        group, _, field = name.partition("_")
        if field and group in Settings.model_fields:
            values.setdefault(group, {})[field] = value
        elif name in Settings.model_fields:
            values[name] = value
    return values


def _files() -> Iterator[tuple[str, dict[str, Any]]]:
    """Give the tables of the two files in this folder, what beats the other last."""
    tool = _read_toml("pyproject.toml").get("tool")
    ours = tool.get("stepflow") if isinstance(tool, dict) else None
    yield "[tool.stepflow]", ours if isinstance(ours, dict) else {}
    yield "stepflow.toml", _read_toml("stepflow.toml")


def _read_toml(name: str) -> dict[str, Any]:
    try:
        return _toml(Path(name).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return {}


@lru_cache(maxsize=4)
def _toml(text: str) -> dict[str, Any]:
    return tomllib.loads(text)


@lru_cache(maxsize=1)
def load_settings() -> Settings:
    """
    Read the settings of this process, once; names that are no settings are a warning in the log.

    Raises InvalidOption, which names the variable, for a value that does not fit.
    """
    try:
        settings = Settings()
        unknown = list(unknown_names())
    except ValueError as error:  # a ValidationError, or a file that is no TOML
        raise InvalidOption(wrong_setting(error)) from None
    for sentence in unknown:
        log.warning("%s", sentence)
    return settings


def unknown_names() -> Iterator[str]:
    """Write a sentence for each variable STEPFLOW_... and each key of a file that sets nothing."""
    known = list(_known_keys())
    variables = {key.replace(".", "_").upper() for key in known}
    accepted = {*variables, *_VARIABLES}
    for variable in os.environ:
        name = variable.upper().removeprefix(_PREFIX)
        if name in {variable.upper(), *accepted} or _OF_KUBERNETES.search(name):
            continue
        yield _no_setting(variable, _PREFIX, name, sorted({*variables, *_VARIABLES[:3]}))
    for file, table in _files():
        for key in _keys_in(table):
            if key not in {*known, *Settings.model_fields}:
                yield _no_setting(f"{key} in {file}", "", key, known)


def _known_keys() -> Iterator[str]:
    """Give every setting as a file names it: `group.name`, or `name`."""
    for group, field in Settings.model_fields.items():
        inner = getattr(field.annotation, "model_fields", None)
        yield from [group] if inner is None else (f"{group}.{name}" for name in inner)


def _keys_in(table: dict[str, Any]) -> Iterator[str]:
    for group, value in table.items():
        yield from (f"{group}.{name}" for name in value) if isinstance(value, dict) else [group]


def _no_setting(what: str, prefix: str, name: str, known: list[str]) -> str:
    from difflib import get_close_matches  # noqa: PLC0415  wanted only for a mistake

    near = get_close_matches(name, known, n=1, cutoff=_ALIKE)
    hint = f"; did you mean {prefix}{near[0]}?" if near else "; `stepflow config show` lists them"
    return f"{what} is no setting of stepflow and changes nothing{hint}"


def wrong_setting(error: ValueError) -> str:
    """Write which setting is wrong; its value, which may be a secret, stays out of it."""
    problems: list[Any] = error.errors() if isinstance(error, ValidationError) else []
    if not problems:
        problem = str(error).splitlines()[0]
        return f"the settings cannot be read: {problem}; correct stepflow.toml or pyproject.toml"
    names = ["_".join(str(part) for part in problem["loc"]) for problem in problems]
    said = "; ".join(
        f"{name.replace('_', '.', 1)}: {problem['msg']}"
        for name, problem in zip(names, problems, strict=True)
    )
    return f"setting {said}; correct STEPFLOW_{names[0].upper()}, stepflow.toml or [tool.stepflow]"


def redis_url(explicit: str | None, settings: Settings) -> str | None:
    """
    Choose the Redis URL: the argument, STEPFLOW_REDIS_URL or REDIS_URL, in this order.

    None means the embedded server.
    """
    return explicit or settings.redis.url or os.environ.get("REDIS_URL") or None
