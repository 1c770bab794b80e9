"""The blocking client and its run handle."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, Unpack, cast, overload

from stepflow.client.base import SAFETY_NET_S, BaseClient, existing, result_of
from stepflow.client.beside import Beside
from stepflow.client.bulk import Bulks
from stepflow.client.exporting import Exporting
from stepflow.client.hook_info import HookInfo
from stepflow.client.nouns import Nouns
from stepflow.client.options import SubmitOptions, spec_of
from stepflow.client.reading import Reading
from stepflow.client.signals import Signals
from stepflow.client.steering import Steering
from stepflow.core.outcomes import Outcome
from stepflow.core.output import OutputEvent
from stepflow.core.run import RunStatus
from stepflow.core.runner import Step, TypedRunner, WorkflowContext
from stepflow.engine.fork import SAME_INPUT, fork
from stepflow.engine.questions import Question, answer, questions
from stepflow.engine.spec import RunSpec
from stepflow.engine.status import status
from stepflow.engine.steering.audit import noted
from stepflow.engine.submit import Submitted
from stepflow.errors import RedisRefused, StepflowError
from stepflow.settings import Settings
from stepflow.store.calls import Plan
from stepflow.store.connection.sync import SyncCaller, carry_out
from stepflow.store.durability.level import Durability
from stepflow.store.durability.links import Links
from stepflow.store.rights import CLIENT, missing_rights
from stepflow.store.values import offloaded
from stepflow.times import seconds

if TYPE_CHECKING:
    from stepflow.engine.events.telemetry import Telemetry
    from stepflow.engine.registry import Registry
    from stepflow.engine.why import Why

T = TypeVar("T")
R = TypeVar("R")
I = TypeVar("I")  # noqa: E741  the input of a workflow
C = TypeVar("C", bound=WorkflowContext)


class RunHandle(Generic[T]):
    """
    A submitted run: its id, whether this submit created it, and the client's methods for it.

    `result` gives what the function that you submitted returns, as its type; of a run that you
    submitted by name, plain values.
    """

    def __init__(
        self, submitted: Submitted, client: Client, read: Callable[[Any], Any] | None = None
    ) -> None:
        self.id, self.created = submitted.id, submitted.created
        self._client = client
        self._read = read

    def __repr__(self) -> str:
        return f"RunHandle({self.id!r}, created={self.created})"

    def read_by(self, read: Callable[[Any], R]) -> RunHandle[R]:
        """Have `result` turned into what *read* makes of it; gives the handle."""
        self._read = read
        return cast("RunHandle[R]", self)

    def status(self) -> RunStatus | None:
        """See Client.status."""
        return self._client.status(self.id)

    def wait(self, timeout: float | timedelta | None = None) -> RunStatus:
        """See Client.wait."""
        return self._client.wait(self.id, timeout)

    def result(self, timeout: float | timedelta | None = None) -> T:
        """See Client.result."""
        result: T = self._client.result(self.id, timeout)
        if self._read is not None:
            result = self._read(result)
        return result

    def output(
        self,
        *,
        after: str | None = None,
        topics: str | Sequence[str] | None = None,
        live: bool = True,
        committed: bool = False,
    ) -> Iterator[OutputEvent]:
        """See Client.output."""
        return self._client.output(
            self.id, after=after, topics=topics, live=live, committed=committed
        )

    def cancel(self, reason: str = "") -> bool:
        """See Client.cancel."""
        return self._client.cancel(self.id, reason)


class Client(Nouns, Reading, Beside, Exporting, Bulks, Steering, Signals, BaseClient):
    """
    The blocking client. You may share it between threads.

    Redis is *url*, else STEPFLOW_REDIS_URL, else REDIS_URL; with none of them, the embedded server
    is started or joined. Calls raise RedisUnreachable when Redis does not answer for 10 s, and
    RedisRefused when it refuses the command (out of memory, no permission).
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        namespace: str | None = None,
        settings: Settings | None = None,
        connection: SyncCaller | None = None,
        registry: Registry | None = None,
        telemetry: Telemetry | None = None,
    ) -> None:
        super().__init__(url, namespace, settings, registry, telemetry)
        if connection is None:  # one that is given, as a harness does, leads to no address
            self.env.stand_at(self._address)
        self._links = Links(self._address, connection)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @property
    def connection(self) -> SyncCaller:
        """The connection of this client, made on first use."""
        return self._links.at(self._demand)

    def _do(self, plan: Plan[T], durability: Durability | None = None) -> T:
        with closing(plan):
            demand = self._demand if durability is None else self._demand_at(durability)
            connection = self._links.at(demand)
            try:
                return carry_out(connection, self._on_time(plan))
            except RedisRefused as refusal:
                lacking: list[str] = []
                if refusal.is_about_rights:
                    # a user without the right to look gets the refusal as it is
                    with suppress(StepflowError):
                        lacking = carry_out(connection, missing_rights(CLIENT, self.env.keys))
                raise self._naming(lacking, refusal) from None

    def close(self) -> None:
        """Close the connections."""
        self._links.close()
        if "archive" in vars(self):  # it was asked for something
            self.archive.close()

    @overload
    def submit(
        self,
        runner: Callable[[Step[I]], Outcome | Awaitable[Outcome]],
        payload: I,
        **options: Unpack[SubmitOptions],
    ) -> RunHandle[Any]: ...
    @overload
    def submit(
        self,
        runner: Callable[[Step[Any]], Outcome | Awaitable[Outcome]],
        **options: Unpack[SubmitOptions],
    ) -> RunHandle[Any]: ...
    @overload
    def submit(
        self, runner: Callable[[C, I], Awaitable[T]], payload: I, **options: Unpack[SubmitOptions]
    ) -> RunHandle[T]: ...
    @overload
    def submit(
        self, runner: Callable[[C], Awaitable[T]], **options: Unpack[SubmitOptions]
    ) -> RunHandle[T]: ...
    @overload
    def submit(
        self, runner: Callable[[C, I], T], payload: I, **options: Unpack[SubmitOptions]
    ) -> RunHandle[T]: ...
    @overload
    def submit(
        self, runner: Callable[[C], T], **options: Unpack[SubmitOptions]
    ) -> RunHandle[T]: ...
    @overload
    def submit(
        self, runner: TypedRunner[I, T], payload: I, **options: Unpack[SubmitOptions]
    ) -> RunHandle[T]: ...
    @overload
    def submit(
        self, runner: str, payload: Any = None, **options: Unpack[SubmitOptions]
    ) -> RunHandle[Any]: ...
    def submit(
        self,
        runner: str | Callable[..., Any] | TypedRunner[Any, Any],
        payload: Any = None,
        **options: Unpack[SubmitOptions],
    ) -> RunHandle[Any]:
        """
        Submit a run and return its handle.

        Submitting the same run id, runner and input again finds the existing run; `created` is then
        False.

        *priority* is 0 (first) to 9, or `high`, `normal`, `low` for 2, 5 and 8.
        *delay* and *timeout* (from submit to the end of the run) are seconds or a timedelta. At
        its timeout a run is stopped and undoes what it has done; with *on_timeout* "end" it ends as
        it stands. By its *tags* lists find the run; it has 8 at most, keys and values of 64 bytes.
        *limits* says for which key a limit counts it, {"stripe": "acme"}, also one that its runner
        does not name; *units* says how much of its rate the run takes, 1 by default.
        On a fair queue it waits in its *lane*, by default the one that the setting `queues.fair`
        makes of its headers or tags; lanes take turns.
        Of a *singleton* at most one run lives at a time, by its key; a later submit gives that run,
        see Singleton. Submits with one *debounce* key are one run, see Debounce.
        *version* defaults to the newest version of the workflow that this app registers, or that
        live workers have. With *durability* "fsync" or "replicated" this submit returns when the
        run is on disk, or on replicas as well; its steps go by the app's. A runner that no live
        worker knows is a warning in the log, and so is a payload for a workflow of this app that
        takes no input; with *strict* they raise UnknownRunner, also while no worker lives, and
        InvalidOption. Raises RunConflict, InvalidRunId, ReservedHeader, UnsupportedValue,
        PayloadTooLarge; nothing is written then.
        """
        given = spec_of(runner, payload, options)
        spec, read = self._named(given, "client.submit")
        submit = self._submit if offloaded.in_use is None else self._submit_offloaded
        return RunHandle(self._do(submit(spec), self._durability_of(spec)), self, read)

    def submit_definition(
        self,
        definition: str | Path | Mapping[str, Any] | Any,
        input: Any = None,  # noqa: A002  a definition calls it so
        *,
        entry_point: str | None = None,
        **options: Unpack[SubmitOptions],
    ) -> RunHandle[Any]:
        """
        Submit a run of a workflow that is data, checked, with its input; return its handle.

        *definition* is the name of one that the app has loaded, a file (a Path), or plain data. It
        is stored with the run: a later edit does not touch it. *entry_point* names another place to
        begin at. The other options are those of `submit`. Raises InvalidDefinition, with all that
        is wrong, and InvalidOption, for an input that does not fit as well; nothing is written
        then.
        """
        plan = self._submit_definition(definition, input, entry_point, options)
        return RunHandle(self._do(plan, options.get("durability")), self)

    def publish(self, topic: str, data: Any = None, *, event_id: str | None = None) -> list[str]:
        """
        Tell of an event: start, or signal, all that definitions of the app say; return run ids.

        Those with a trigger of the *topic* whose filter *data* fit. The same *event_id* again
        starts and signals nothing twice; without one, each call is another event.
        """
        return self._do(self._publish(topic, data, event_id))

    def message(self, text: str, *, message_id: str | None = None) -> RunHandle[Any]:
        """
        Start the definition of the app that takes a text: by its command, an alias, the catch-all.

        The same *message_id* again is the same run. Raises InvalidOption where nothing takes it.
        """
        return RunHandle(self._do(self._message(text, message_id)), self)

    def submit_many(
        self, specs: Iterable[RunSpec | tuple[str | Callable[..., Any], Any]]
    ) -> list[RunHandle[Any]]:
        """Submit thousands of runs in a few round trips; return their handles in order."""
        named, readers = self._all_named(specs)
        submit = self._submit_many if offloaded.in_use is None else self._submit_many_offloaded
        found = self._do(submit(named), self._strongest(named))
        return [RunHandle(item, self, read) for item, read in zip(found, readers, strict=True)]

    def status(self, run_id: str) -> RunStatus | None:
        """Return the status of the run, None for an unknown run."""
        return self._do(status(run_id, self.env))

    def wait(self, run_id: str, timeout: float | timedelta | None = None) -> RunStatus:
        """
        Wait for the end of the run and return its status.

        *timeout* is seconds or a timedelta. Raises TimeoutError when it passes, and RunNotFound for
        an unknown run.
        """
        limit_s = None if timeout is None else seconds(timeout, "timeout of wait")
        until = None if limit_s is None else time.monotonic() + limit_s
        if not self._is_new(run_id) and (run := self._found(run_id)).is_finished:
            return run
        with self.connection.listening(self.env.keys.done_channel(run_id)) as heard:
            while not (run := self._found(run_id)).is_finished:
                left_s = (
                    SAFETY_NET_S if until is None else min(SAFETY_NET_S, until - time.monotonic())
                )
                if left_s <= 0:
                    msg = f"run {run_id!r} is still {run.state} after {limit_s:g} s"
                    raise TimeoutError(msg)
                heard(left_s)
        return run

    def _found(self, run_id: str) -> RunStatus:
        run = existing(run_id, self.status(run_id))
        while run.is_finished and self._demand is not None:  # the end must last before it is told
            self._links.confirm(self._demand)
            before, run = run, existing(run_id, self.status(run_id))
            if run.ended_at == before.ended_at:
                break
        return run

    def result(self, run_id: str, timeout: float | timedelta | None = None) -> Any:
        """
        Wait for the end of the run and return its result.

        Raises RunFailed, RunCancelled, TimeoutError, RunNotFound.
        """
        return result_of(self.wait(run_id, timeout))

    def why(self, run_id: str) -> Why:
        """
        Say why the run is where it is, and what makes it continue.

        It takes a second longer for a run that looks broken, which is checked twice.
        """
        from stepflow.engine.why import LOOK_AGAIN_S, settle  # noqa: PLC0415  only who asks pays

        looks = settle(run_id, self.env)
        plan = next(looks)
        while True:
            why = self._do(plan)
            try:
                plan = looks.send(why)
            except StopIteration as end:
                settled: Why = end.value
                return settled
            time.sleep(LOOK_AGAIN_S)

    def questions(self, *, limit: int = 50) -> Sequence[Question]:
        """Return the open questions that runs ask people, at most *limit*."""
        return self._do(questions(self.env, limit=limit))

    def answer(self, token: str, value: Any, *, by: str | None = None) -> None:
        """
        Answer the question with this *token*; a question takes one answer.

        Raises QuestionNotFound, QuestionClosed, AnswerMisfit.
        """
        self._do(noted(answer(token, value, self.env), "answer", token, by))

    def kv(self, run_id: str, key: str) -> Any:
        """
        Return what a step of the run wrote under *key* with `step.effects`.

        None when there is nothing.
        """
        return self._do(self._kv(run_id, key))

    def fork(
        self,
        run_id: str,
        at: str,
        *,
        new_id: str | None = None,
        version: int | None = None,
        payload: Any = SAME_INPUT,
        by: str | None = None,
    ) -> RunHandle[Any]:
        """
        Start a new run with the run's input and headers, and its results up to step *at*.

        *at* is a step's name (the first of that name), place or key. That step and all after it run
        again. The old run may be in any state and stays as it is, with its unread signals.
        *version* replaces the version of the workflow, *payload* the input; the recorded results
        should fit it. The same fork again finds the same run. Raises RunNotFound, UnknownStep, and
        RunConflict when *new_id* is taken.
        """
        return RunHandle(
            self._do(
                noted(
                    fork(run_id, at, self.env, new_id=new_id, version=version, payload=payload),
                    "fork",
                    run_id,
                    by,
                    f"at {at}",
                )
            ),
            self,
        )

    def hooks(self, run_id: str | None = None, *, limit: int = 50) -> Sequence[HookInfo]:
        """Return the hook deliveries of a run, or all those that were given up, newest first."""
        return self._do(self._hooks(run_id, limit))
