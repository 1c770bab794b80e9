"""What both clients are built from: where Redis is, what a submit takes, what an end means."""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from stepflow.client.hook_info import HookInfo, hook_info_of
from stepflow.client.options import SubmitOptions
from stepflow.core.ids import check_count
from stepflow.core.run import RunState, RunStatus, UnreadableText
from stepflow.engine.env import Env
from stepflow.engine.kept import SealedText
from stepflow.engine.outbox import hooks_of
from stepflow.engine.redeliver import dead_hooks, hooks_of_run
from stepflow.engine.spec import RunSpec
from stepflow.engine.submit import (
    Submitted,
    leave_payload,
    offload_payload,
    submit,
    submit_many,
)
from stepflow.engine.user_code.registered import registration_of
from stepflow.engine.versions import Versions
from stepflow.errors import (
    InvalidOption,
    LimitFull,
    RedisRefused,
    RightsMissing,
    RunCancelled,
    RunConflict,
    RunFailed,
    RunNotFound,
    UndecryptableValue,
    UnreadableRecord,
    shown,
)
from stepflow.hooks.given import read_webhooks
from stepflow.hooks.ssrf import Allowlist, check_url
from stepflow.settings import Settings, load_settings, redis_url
from stepflow.store.calls import Plan, batch
from stepflow.store.connection.address import Address
from stepflow.store.connection.server_check import check_number, read_format
from stepflow.store.durability.level import (
    UNCONFIRMED,
    Durability,
    embedded_appendfsync,
    read_durability,
    strongest,
)
from stepflow.store.keys import Keys
from stepflow.store.query import server_time
from stepflow.store.rights import CLIENT
from stepflow.store.values.codec import unpack
from stepflow.store.values.offloaded import OffloadedText
from stepflow.store.variables import load_kv

if TYPE_CHECKING:
    from stepflow.engine.events.telemetry import Telemetry
    from stepflow.engine.registry import Registry
    from stepflow.engine.user_code.arguments import Reader
    from stepflow.store.durability.demand import Demand

T = TypeVar("T")

log = logging.getLogger("stepflow.client")

#: set once this process has said that something secret stands in clear
_SAID_IN_CLEAR = threading.Event()

#: seconds between looks at a run that is waited for, should its notification be lost
SAFETY_NET_S = 1.0


def resolve(url: str | None, settings: Settings) -> str:
    """
    Give the URL to connect to.

    Argument, environment, or the embedded server, which is joined or started.
    """
    found = redis_url(url, settings)
    if found is not None:
        return found
    from stepflow import embedded  # noqa: PLC0415  most have a Redis, and need no other

    return embedded.start_or_join(
        settings.home, settings.embedded, appendfsync=embedded_appendfsync(settings)
    ).url


def _address_at(url: str | None, settings: Settings) -> Address:
    return Address.parse(resolve(url, settings), settings.redis)


def result_of(run: RunStatus) -> Any:
    """
    Give the result of a finished run.

    Blocks while it reads one that is offloaded. Raises RunFailed or RunCancelled for the other
    ends, UnreadableRecord, UndecryptableValue, OffloadUnreachable.
    """
    if run.state is RunState.CANCELLED:
        raise RunCancelled(run.id, run.reason)
    if run.state is RunState.FAILED:
        error = run.error
        failed = RunFailed(
            run.id, error.type if error else "Fail", error.message if error else run.reason or ""
        )
        if error and error.traceback:
            failed.add_note(f"On the worker:\n{error.traceback.rstrip()}")
        raise failed
    if isinstance(run.result, SealedText):
        words = f"the result of run {run.id!r}: {run.result.strip('<>')}"
        raise UndecryptableValue(words, run.result.key_id)
    if isinstance(run.result, UnreadableText):
        raise UnreadableRecord.of_run(run.id, run.unreadable or run.result)
    if isinstance(run.result, OffloadedText):
        return unpack(run.result.reference.write())
    return run.result


def existing(run_id: str, run: RunStatus | None) -> RunStatus:
    """Give the status of a run; raises RunNotFound where there is none."""
    if run is None:
        raise RunNotFound(run_id)
    return run


def _spec_of(given: object) -> RunSpec:
    """Read (runner, payload), as submit_many and groups take it; raises InvalidOption."""
    if isinstance(given, list | tuple) and 1 <= len(given) <= 2:  # noqa: PLR2004  a pair
        return RunSpec(*given)
    msg = f"{shown(given)} is no run; write RunSpec(runner, payload), or (runner, payload)"
    raise InvalidOption(msg)


class BaseClient:
    """
    What both clients are built from.

    With the *registry* of an app its versions and hooks are known without asking the workers, and
    its telemetry traces the submits, unless the client has *telemetry* of its own.
    """

    def __init__(
        self,
        url: str | None,
        namespace: str | None,
        settings: Settings | None,
        registry: Registry | None,
        telemetry: Telemetry | None = None,
    ) -> None:
        self.settings = settings or load_settings()
        #: finds where its Redis is; no method, for connections that knew their client were left to
        #: a garbage collection, open
        self._address = partial(_address_at, url, self.settings)
        self._registry = registry
        self._allowed = Allowlist.parse(self.settings.webhook.allow_cidrs)
        keys = Keys(namespace or self.settings.redis.namespace)
        if registry is None:
            self.versions, self.env = Versions(), Env(keys, self.settings)
        else:
            self.versions = Versions(registry.newest, registry.limited)
            self.env = Env(keys, self.settings, hooks_of=hooks_of(registry))
            telemetry = telemetry or registry.telemetry
        self._telemetry = telemetry
        #: what a write waits for before its call returns; None for nothing
        self._demand = self._demand_at(self.settings.durability)
        #: the run that the last submit of one made
        self._newest = ""

    def _demand_at(self, durability: Durability) -> Demand | None:
        """Give what a durability waits for, None for nothing; raises InvalidOption."""
        if read_durability(durability, "durability of submit") in UNCONFIRMED:
            return None
        from stepflow.store.durability.demand import demand_of  # noqa: PLC0415  few want it

        return demand_of(durability, self.settings, self.env.keys)

    def _durability_of(self, spec: RunSpec) -> Durability | None:
        """Give what a submit waits for: what it says, else its runner; None as the app says."""
        if spec.durability is None and self._registry is not None:
            return self._registry.durable.get(spec.runner)
        return spec.durability

    def _strongest(self, specs: Sequence[RunSpec]) -> Durability | None:
        """Give the strongest durability that one of *specs* has; None where none has any."""
        return strongest([each for each in map(self._durability_of, specs) if each is not None])

    def _naming(self, lacking: Sequence[str], refusal: RedisRefused) -> RedisRefused:
        """
        Give the error that names the missing rights.

        That is *refusal* itself where none are known to be missing.
        """
        if not lacking:
            return refusal
        return RightsMissing(self._address().username or "default", CLIENT.name, lacking)

    def _named(self, spec: RunSpec, verb: str) -> tuple[RunSpec, Reader | None]:
        """
        Give *spec* with the name of its runner, where that is a function.

        And what turns the result into the type that this function declares. An input of a workflow
        that takes none is a warning in the log, for those of this app; raises InvalidOption for a
        strict one.
        """
        runner: object = spec.runner
        if isinstance(runner, str):
            if self._registry is not None:
                self._registry.check_input(runner, spec.version, spec.payload, strict=spec.strict)
            return spec, None
        found = registration_of(runner, self._registry, spec.version, verb)
        version = found.version if spec.version is None else spec.version
        found.registry.check_input(found.name, version, spec.payload, strict=spec.strict)
        return replace(spec, runner=found.name, version=version), found.read

    def _all_named(
        self, specs: Iterable[RunSpec | tuple[str | Callable[..., Any], Any]]
    ) -> tuple[list[RunSpec], list[Reader | None]]:
        """Read what submit_many takes: RunSpecs, or (runner, payload)."""
        given: object = specs
        if not isinstance(given, Iterable):
            msg = f"submit_many was given {shown(given)}; it takes RunSpecs, or (runner, payload)"
            raise InvalidOption(msg)
        read = (spec if isinstance(spec, RunSpec) else _spec_of(spec) for spec in specs)
        named = [self._named(spec, "client.submit_many") for spec in read]
        return [spec for spec, _ in named], [reader for _, reader in named]

    def _checked(self, specs: list[RunSpec]) -> list[RunSpec]:
        """
        Refuse webhooks that would never be called, and give the specs with Webhook objects.

        Host names are looked up only when they are called.
        """
        for number, spec in enumerate(specs):
            if not spec.webhooks:
                continue
            specs[number] = replace(spec, webhooks=read_webhooks(spec.webhooks))
            for webhook in specs[number].webhooks:
                check_url(webhook.url, self._allowed)
                if webhook.in_clear and not _SAID_IN_CLEAR.is_set():
                    _SAID_IN_CLEAR.set()
                    log.warning(
                        "%s of %r is stored in clear in Redis for as long as the run is kept; let "
                        "the workers read it from their environment: "
                        "Webhook(url, secret_env=..., headers_env=...). This is logged once",
                        " and ".join(webhook.in_clear), webhook,
                    )  # fmt: skip
        return specs

    async def _submit(self, spec: RunSpec) -> Submitted:
        [chosen] = await self.versions.choose(self._checked([spec]), self.env)
        if self._telemetry is not None:
            [submitted] = await self._submit_traced([chosen], self._telemetry)
        else:
            submitted = await submit(chosen, self.env)
        if submitted.created:
            self._newest = submitted.id
        return self._observed([chosen], [submitted])[0]

    async def _submit_offloaded(self, spec: RunSpec) -> Submitted:
        """Submit with a large payload in its store; blocks. What no run has is deleted again."""
        stored = offload_payload(spec, self.env)
        try:
            submitted = await self._submit(stored)
        except (RunConflict, LimitFull):
            leave_payload(stored)
            raise
        if not submitted.created:
            leave_payload(stored)
        return submitted

    async def _submit_many_offloaded(self, specs: list[RunSpec]) -> Sequence[Submitted]:
        """Submit many as `_submit_offloaded` does; after an error nobody knows which are made."""
        stored = [offload_payload(spec, self.env) for spec in specs]
        found = await self._submit_many(stored)
        for spec, each in zip(stored, found, strict=True):
            if not each.created:
                leave_payload(spec)
        return found

    def _is_new(self, run_id: str) -> bool:
        """
        Whether this is the first question about the run that was submitted last.

        Then it is not worth a round trip whether it has ended by now.
        """
        is_new = run_id == self._newest
        self._newest = ""
        return is_new

    def _submit_definition(
        self, definition: Any, given: Any, entry_point: str | None, options: SubmitOptions
    ) -> Plan[Submitted]:
        """Check a definition and its input at once, and give the plan that submits its run."""
        from stepflow.client.definitions import book_of, check_needs, defined  # noqa: PLC0415  few have any

        registry, book = self._registry, book_of(self._registry, "submit_definition")
        assert registry is not None
        spec, runners = defined(book, definition, given, entry_point, options), registry.runners

        async def submit() -> Submitted:
            await check_needs(book, spec, runners, self.env)
            return await self._submit(spec)

        return submit()

    async def _publish(self, topic: str, data: Any, event_id: str | None) -> list[str]:
        from stepflow.client.definitions import begin, book_of  # noqa: PLC0415  few have any

        known = event_id or secrets.token_hex(12)
        begun = book_of(self._registry, "publish").on_event(topic, data, known)
        return await begin(begun, self._submit, known, self.env)

    async def _message(self, text: str, message_id: str | None) -> Submitted:
        from stepflow.client.definitions import begun_once, book_of  # noqa: PLC0415  few have any

        book = book_of(self._registry, "message")
        spec = book.on_message(text, message_id or secrets.token_hex(12))
        return await begun_once(spec, self._submit)

    async def _submit_many(self, specs: list[RunSpec]) -> Sequence[Submitted]:
        chosen = await self.versions.choose(self._checked(specs), self.env)
        if self._telemetry is not None:
            submitted = await self._submit_traced(chosen, self._telemetry)
        else:
            submitted = await submit_many(chosen, self.env)
        return self._observed(chosen, submitted)

    def _observed(
        self, specs: Sequence[RunSpec], submitted: Sequence[Submitted]
    ) -> Sequence[Submitted]:
        """Tell the observers of the app, if there are any, of the runs that were made."""
        observers = None if self._registry is None else self._registry.observers
        if observers is not None:
            pairs = zip(specs, submitted, strict=True)
            new = [(spec, each.id) for spec, each in pairs if each.created]
            observers.submitted(new)
        return submitted

    async def _submit_traced(
        self, specs: Sequence[RunSpec], telemetry: Telemetry
    ) -> list[Submitted]:
        with telemetry.trace_submit(specs) as sending:
            submitted = await submit_many(sending.specs, self.env)
            sending.note_ids(each.id for each in submitted)
            return submitted

    async def _on_time(self, plan: Plan[T]) -> T:
        """
        Carry out *plan* by the server's clock, not by this machine's.

        Due times and deadlines are reckoned with it. At the same time it is seen whether the data
        are of the format that this version writes, so that no client writes among other data.
        """
        if self.env.clock.is_stale:
            now, number = await batch(server_time(), read_format(self.env.keys))
            if number:
                check_number(number, self.env.keys)
            self.env.clock.learn(now)
        return await plan

    async def _kv(self, run_id: str, key: str) -> Any:
        if not isinstance(key, str):
            raise InvalidOption(f"a key of kv is {shown(key)}; it is text")
        packed = await load_kv(self.env.keys, run_id, key)
        return None if packed is None else unpack(packed)

    async def _hooks(self, run_id: str | None, limit: int) -> list[HookInfo]:
        check_count("limit", limit)
        if run_id is None:
            records = await dead_hooks(self.env, limit=limit)
        else:
            records = await hooks_of_run(run_id, self.env, limit=limit)
        return [hook_info_of(record) for record in records]
