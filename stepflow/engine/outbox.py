"""What the end of a run writes beside its state: result and error, and the hooks it calls for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from stepflow.core.briefs import sealed_text
from stepflow.core.outcomes import ErrorInfo
from stepflow.core.run import Run, RunOutcome, RunState
from stepflow.core.transition import Transition
from stepflow.engine.env import Env, HooksOf
from stepflow.engine.spec import StoredOptions
from stepflow.errors import UnreadableValue
from stepflow.store.calls import Part
from stepflow.store.family_update import NO_UPDATE, FamilyUpdate, family_update
from stepflow.store.hooks import (
    ANYONE,
    ARCHIVER,
    PENDING,
    HookJob,
    HookRecord,
    rq_id_of,
    write_new_hook,
)
from stepflow.store.values.codec import pack, unpack
from stepflow.times import as_datetime

if TYPE_CHECKING:
    from stepflow.engine.registry import Registry

#: kinds of targets: a function of the app, a webhook of the app, a webhook of the run
FUNCTION, APP_WEBHOOK, RUN_WEBHOOK = "function", "app webhook", "webhook"
#: the archive of the app
ARCHIVE = "archive"
#: what such a delivery is for that the database has refused; without it, one of a version that
#: had no notes for the archive, or of an end that was noted before a worker had announced it
REFUSED = "refused"
#: its number among the deliveries of an end, higher than those of hooks
_REFUSED_NUMBER = 31
#: and one of our own: the children that end with the run
CHILDREN = "children"
#: and another one: a bulk to carry on
BULK = "bulk"
#: of a run that nobody traces
NO_TRACE: Mapping[str, str] = MappingProxyType({})


def app_hooks(registry: Registry, runner: str, status: str | None = None) -> list[list[str]]:
    """
    Name the terminal hooks that runs of *runner* get, as (kind, name).

    Without a *status* also those that are not called for every end: the delivery looks again.
    """
    chosen = registry.hook_choices
    called = [
        [FUNCTION, name]
        for name in registry.hooks
        if name not in chosen or chosen[name].wants(runner, status)
    ] + [[APP_WEBHOOK, name] for name in registry.webhooks]
    return called if registry.archive is None else [*called, [ARCHIVE, ""]]


def paused_hooks(registry: Registry) -> list[list[str]]:
    """Name the hooks of an app that are told of pauses, as (kind, name)."""
    return [[FUNCTION, name] for name in registry.paused_hooks] + [
        [APP_WEBHOOK, name]
        for name, webhook in registry.webhooks.items()
        if webhook.wants(RunState.PAUSED)
    ]


def hooks_of(registry: Registry) -> HooksOf:
    """
    Give what names the hooks of a run by its runner, from the app at hand.

    It says None for a runner that the app does not know, and where the app has no hooks: what
    workers have announced decides then.
    """
    return lambda runner: (app_hooks(registry, runner) if runner in registry.names else []) or None


def outcome_of(run: Run, end: Transition, options: StoredOptions, now: float) -> RunOutcome:
    """Put together what hooks are told of the end of *run*."""
    failures = max(run.failures, end.failures) if end.error is not None else run.failures
    return RunOutcome(
        run.id,
        run.runner,
        status=end.state.value,
        result=end.result,
        error=end.error,
        reason=end.reason,
        headers=options.headers,
        final_step=run.step,
        attempts=failures + 1,
        generation=run.generation,
        end=run.ends + (end.state is not RunState.PAUSED),
        created_at=as_datetime(run.created_at),
        started_at=as_datetime(run.started_at),
        ended_at=as_datetime(now),
        compensation_errors=end.errors,
    )


def end_fields(move: Transition, limit: int) -> list[Part]:
    """Give the data fields that an end writes."""
    data: list[Part] = []
    if move.result is not None:
        data += ("result", pack(move.result, what="the result", limit=limit))
    if move.error is not None:
        data += ("error", pack(_listed(move.error)))
    if move.reason is not None:
        data += ("reason", sealed_text(move.reason))
    if move.errors:
        data += ("undo_errors", pack([_listed(error) for error in move.errors]))
    return data


def plan_hooks(
    run: Run,
    end: Transition,
    options: StoredOptions,
    app_hooks: Sequence[Sequence[str]],
    env: Env,
    now: float,
) -> list[HookJob]:
    """
    Give the deliveries to write with the end of *run*.

    *app_hooks* are the app's own hooks, as (kind, name). The archive gets a note instead, see
    `hooks/ended.py`.
    """
    if not (options.webhooks or app_hooks):  # most have none
        return []
    targets: list[tuple[str, list[Any]]] = [
        (ANYONE, [RUN_WEBHOOK, web]) for web in _wanting(end, options)
    ]
    targets += _targets(run.runner, [hook for hook in app_hooks if hook[0] != ARCHIVE])
    if not targets:
        return []
    body = pack_outcome(outcome_of(run, end, options, now), options.trace)
    return deliveries(run.id, _stem(run), 0, targets, body, env, now)


def plan_pause_hooks(
    run: Run,
    pause: Transition,
    options: StoredOptions,
    paused_hooks: Sequence[Sequence[str]],
    env: Env,
    now: float,
) -> list[HookJob]:
    """Give the deliveries to write with a pause of *run*: to those hooks that want to know."""
    targets: list[tuple[str, list[Any]]] = [
        (ANYONE, [RUN_WEBHOOK, web])
        for web in options.webhooks
        if RunState.PAUSED in web.get("events", ())
    ]
    targets += [(run.runner, list(hook)) for hook in paused_hooks]
    if not targets:
        return []
    body = pack_outcome(outcome_of(run, pause, options, now), options.trace)
    stem = f"{run.id}-{run.generation}-p{run.rev}"  # each pause is told of, and each once
    return deliveries(run.id, stem, 0, targets, body, env, now)


def _targets(runner: str, app_hooks: Sequence[Sequence[str]]) -> list[tuple[str, list[Any]]]:
    """Give whose workers are to take the deliveries to hooks of the app, and where they go."""
    return [(ARCHIVER if hook[0] == ARCHIVE else runner, list(hook)) for hook in app_hooks]


def _wanting(end: Transition, options: StoredOptions) -> list[Any]:
    """Give the run's own webhooks that subscribe to this end."""
    status = end.state.value
    return [web for web in options.webhooks if status in web.get("events", (status,))]


def _stem(run: Run) -> str:
    """Give what the ids of the deliveries of this end of *run* begin with."""
    return f"{run.id}-{run.generation}-{run.ends + 1}"


def deliveries(
    run_id: str,
    stem: str,
    first: int,
    targets: Sequence[tuple[str, Any]],
    body: bytes,
    env: Env,
    now: float,
) -> list[HookJob]:
    """Make the deliveries of one end to *targets*, as (runner, target), numbered from *first*."""
    jobs = []
    for number, (runner, target) in enumerate(targets, first):
        hook_id = f"{stem}-{number}"
        rq_id = rq_id_of(env.keys, hook_id, 0)
        record = HookRecord(
            hook_id,
            run_id,
            runner,
            PENDING,
            pack(target, in_clear=True),
            body,
            delivery=rq_id,
            created_at=now,
        )
        jobs.append(HookJob(hook_id, rq_id, write_new_hook(record, env.keys)))
    return jobs


def refused_end(outcome: RunOutcome, env: Env, now: float) -> list[HookJob]:
    """Make the delivery of an end that the archive has refused: it is tried again as hooks are."""
    stem = f"{outcome.run_id}-{outcome.generation}-{outcome.end}"
    target = (ARCHIVER, [ARCHIVE, REFUSED])
    body = pack_outcome(outcome)
    return deliveries(outcome.run_id, stem, _REFUSED_NUMBER, [target], body, env, now)


def note_untold(run: Run, end: Transition, options: StoredOptions, now: float) -> bytes:
    """
    Note an end for hooks that no worker has announced yet.

    The note has all that their deliveries need, whatever becomes of the run.
    """
    body = pack_outcome(outcome_of(run, end, options, now), options.trace)
    return pack([run.id, _stem(run), len(_wanting(end, options)), body])


def untold_hooks(
    note: bytes, runner: str, app_hooks: Sequence[Sequence[str]], env: Env, now: float
) -> list[HookJob]:
    """Give the deliveries that a noted end calls for, under the ids that the end would use."""
    run_id, stem, first, body = unpack(note)
    return deliveries(run_id, stem, first, _targets(runner, app_hooks), body, env, now)


def plan_family_update(
    run: Run, end: Transition, options: StoredOptions, data: Sequence[Part], env: Env, now: float
) -> FamilyUpdate:
    """
    Plan what the end of *run* writes for its parent and its children.

    *data* are the data fields that the end writes.
    """
    if options.parent is None and not run.has_children:
        return NO_UPDATE
    answer: Part
    if end.state is RunState.SUCCEEDED:
        answer = data[1] if data else pack(None)
    else:
        error = end.error or ErrorInfo("Cancelled", end.reason or "")
        answer = pack([error.type, error.message])
    assert isinstance(answer, bytes)
    return family_update(
        env.keys,
        run,
        options.parent,
        end.state,
        f"{end.state}|".encode() + answer,
        _stops(run, env, now) if run.has_children else None,
    )


def _stops(run: Run, env: Env, now: float) -> HookJob:
    """Make the delivery that stops the children of *run*."""
    hook_id = f"{run.id}-{run.generation}-{run.ends + 1}-children"
    rq_id = rq_id_of(env.keys, hook_id, 0)
    target = pack([CHILDREN, run.generation], in_clear=True)
    record = HookRecord(
        hook_id, run.id, ANYONE, PENDING, target, b"", delivery=rq_id, created_at=now
    )
    return HookJob(hook_id, rq_id, write_new_hook(record, env.keys))


def pack_outcome(outcome: RunOutcome, trace: Mapping[str, str] = NO_TRACE) -> bytes:
    """Pack an outcome for keeping, with the trace that its hooks belong to, if there is one."""
    kept = {name: getattr(outcome, name) for name in RunOutcome.__slots__} | {
        "error": None if outcome.error is None else _listed(outcome.error),
        "compensation_errors": [_listed(error) for error in outcome.compensation_errors],
    }
    return pack(kept | {"trace": dict(trace)} if trace else kept)


def _listed(error: ErrorInfo) -> list[str]:
    return [error.type, error.message, error.traceback]


def read_outcome(body: bytes) -> RunOutcome:
    """
    Read an outcome back; raises UnreadableValue for anything else.

    Fields that a later version added are ignored.
    """
    kept: Mapping[str, Any] = unpack(body)
    try:
        error = kept["error"]
        errors = [ErrorInfo(*failed) for failed in kept.get("compensation_errors", ())]
        known = {name: kept[name] for name in RunOutcome.__slots__ if name in kept}
        return RunOutcome(
            **{
                **known,
                "error": None if error is None else ErrorInfo(*error),
                "compensation_errors": errors,
            }
        )
    except (TypeError, KeyError, AttributeError) as problem:
        raise UnreadableValue(f"what a hook is to be told is no outcome ({problem})") from problem


def read_trace(body: bytes) -> Mapping[str, str]:
    """Read the trace that `pack_outcome` kept beside an outcome; empty where there is none."""
    kept = unpack(body).get("trace")
    return kept if isinstance(kept, dict) else NO_TRACE


def read_target(target: bytes) -> tuple[str, Any]:
    """
    Read where a hook delivery goes: a kind and what it needs.

    Raises UnreadableValue for anything else.
    """
    kept = unpack(target)
    if isinstance(kept, list | tuple) and len(kept) == 2 and isinstance(kept[0], str):  # noqa: PLR2004
        return kept[0], kept[1]
    raise UnreadableValue("where a hook is to go is no target of ours")


def read_app_hooks(packed: bytes | None) -> list[list[str]]:
    """
    Read the terminal hooks of an app as `app_hooks` gave them.

    Raises UnreadableValue for anything else.
    """
    kept = unpack(packed) if packed else []
    if isinstance(kept, list) and all(isinstance(hook, list) and len(hook) == 2 for hook in kept):  # noqa: PLR2004
        return kept
    raise UnreadableValue("these are no hooks of an app")
