"""Your call is wrong: change the call."""

from __future__ import annotations

from collections.abc import Sequence

from stepflow.errors.base import StepflowError, did_you_mean, shown, stands


class UsageError(StepflowError):
    """Your call is wrong: the same call will fail again."""


class InvalidRunId(UsageError):
    """A run id does not match `[A-Za-z0-9_-]{1,128}`."""

    def __init__(self, run_id: object) -> None:
        super().__init__(
            f"run id {shown(run_id)} is not valid; use 1 to 128 letters, digits, '_' or '-'"
        )


class InvalidName(UsageError):
    """The name of a runner, queue or hook breaks the rules for names."""

    def __init__(self, kind: str, name: object, rule: str) -> None:
        super().__init__(f"{kind} name {shown(name)} is not valid; {rule}")


class NameTaken(InvalidName):
    """A runner, workflow or hook of that name, and version, is registered already."""

    def __init__(
        self, name: str, version: int | None = None, free_version: int | None = None
    ) -> None:
        what = f"{name!r}" if version is None else f"{name!r} version {version}"
        advice = "rename one of the two"
        if free_version is not None:
            advice = f"rename it or pass version={free_version}"
        UsageError.__init__(self, f"{what} is already registered; {advice}")


class InvalidOption(UsageError):
    """An argument is invalid, or two arguments exclude each other."""


class UnknownPrice(InvalidOption):
    """A step spends of a budget that limits money, and nobody knows what it may cost."""

    def __init__(self, budget: str) -> None:
        self.budget = budget
        super().__init__(
            f"budget {budget!r} limits money, and nobody knows the price of this call; say what it "
            "costs at most (usd=), or let the budget pass such calls by unknown_price='allow'"
        )


class InvalidMachine(InvalidOption):
    """The graph of a machine is wrong; *faults* has all that is wrong, a sentence each."""

    def __init__(self, machine: str, faults: Sequence[str]) -> None:
        self.machine, self.faults = machine, tuple(faults)
        lines = "".join(f"\n  - {fault}" for fault in faults)
        super().__init__(f"machine {machine!r} cannot run; correct this:{lines}")


class ReservedHeader(UsageError):
    """A header key begins with `workflow.`, which is reserved for stepflow."""

    def __init__(self, key: str) -> None:
        super().__init__(
            f"header {key!r} is reserved: keys starting with 'workflow.' belong to stepflow; "
            "rename it"
        )


class UnsupportedValue(UsageError):
    """A value cannot be stored; *path* leads to it, like `payload.items[3]`."""

    def __init__(self, path: str, problem: str, advice: str | None = None) -> None:
        self.path = path
        advice = advice or "pass something msgpack carries, a dataclass or a pydantic model"
        super().__init__(f"{path}: {problem}; {advice}")


class PayloadTooLarge(UsageError):
    """A payload, result or set of headers is larger than the limit, both in packed bytes."""

    def __init__(self, what: str, size: int, limit: int, *, setting: str = "PAYLOAD_BYTES") -> None:
        self.size, self.limit = size, limit
        #: of a step's value: what the workflow finds in `StepFailed.data`
        self.stepflow_data: object = {"size": size, "limit": limit}
        super().__init__(
            f"{what} is {size:,} bytes packed, over the limit of {limit:,}; store it elsewhere and "
            f"pass a reference, or raise STEPFLOW_LIMITS_{setting}"
        )


class StepOver(UsageError):
    """An effect was written, or something emitted, after its step had returned."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"{what} comes too late: its step has returned, and its commit would not apply it; "
            "do it before, and wait for your own threads and tasks"
        )


class NotInStep(UsageError):
    """
    `stepflow.emit` was called where no step, runner or job is running.

    Or `stepflow.current_step(required=True)` where no function of a step is: *call* and *instead*
    say so then.
    """

    def __init__(
        self,
        call: str = "stepflow.emit",
        instead: str = (
            "in workflow code call ctx.emit; in a unit test use stepflow.testing.captured_output()"
        ),
    ) -> None:
        super().__init__(
            f"{call} was called outside of a step, or in a thread that does not know of its step: "
            f"start threads with asyncio.to_thread or contextvars.copy_context().run; {instead}"
        )


class OutputOverflow(UsageError):
    """A step emits faster than Redis accepts it, and does not wait."""

    def __init__(self, run_id: str, waiting: int) -> None:
        super().__init__(
            f"run {run_id!r}: {waiting:,} emitted items are not written yet; "
            "write `await stepflow.emit(...)`, which waits until Redis has taken them"
        )


class NotAnInteger(UsageError):
    """`incr` found a variable that is no whole number, or would leave the range of 64 bits."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"variable {name!r} is no whole number, or the sum does not fit into 64 bits; set it "
            "to a whole number first"
        )


class SignalMisfit(UsageError):
    """The payload of a signal does not fit the type that the run waits for."""

    def __init__(self, run_id: str, name: str, problem: str) -> None:
        super().__init__(
            f"signal {name!r} does not fit the type that run {run_id!r} waits for: {problem}; "
            "correct the payload and send it again"
        )


class AnswerMisfit(UsageError):
    """An answer does not fit the type or schema of its question."""

    def __init__(self, token: str, problem: str) -> None:
        super().__init__(
            f"the answer to question {token!r} has the wrong type: {problem}; correct it and "
            "answer again"
        )


class UnknownRunner(UsageError):
    """The app has registered no runner of that name, or no worker knows one."""

    def __init__(self, name: str, known: list[str]) -> None:
        super().__init__(
            f"no runner is called {name!r} here; known: {', '.join(sorted(known)) or 'none'}"
            f"{did_you_mean(name, known)}"
        )


class AppNotFound(UsageError):
    """`package.module:app` did not lead to a Stepflow object."""

    def __init__(
        self, target: str, problem: str, hint: str = "write it as package.module:app"
    ) -> None:
        super().__init__(f"cannot load app {target!r}: {problem}; {hint}")


class WebhookRefused(UsageError):
    """A webhook has a target that stepflow will not call, such as a private address."""

    def __init__(self, url: str, problem: str) -> None:
        super().__init__(f"webhook {url} is refused: {problem}")


class NotReplayable(UsageError):
    """Workflow code called something that is not the same on replay."""

    def __init__(self, what: str, place: str = "", advice: str | None = None) -> None:
        where = f" ({place})" if place else ""
        advice = advice or "put it into a ctx.step, and wait with ctx.sleep or ctx.wait_for_signal"
        super().__init__(
            f"workflow code may not use {what}{where}: it would not repeat itself on replay; "
            f"{advice}"
        )


class ResultMismatch(UsageError):
    """A workflow returned something other than what it declares."""

    def __init__(self, workflow: str, result: object, problem: str) -> None:
        super().__init__(
            f"workflow {workflow!r} returned {shown(result)}, which does not fit its return "
            f"annotation: {problem}; return what it declares, or correct the annotation"
        )


class RunConflict(UsageError):
    """A run with another runner or input already has this id."""

    def __init__(self, run_id: str, difference: str, state: str) -> None:
        first = "" if state in {"succeeded", "failed", "cancelled"} else "wait for its end and "
        super().__init__(
            f"run {run_id!r} {stands(state)} with a different {difference}; pick another run id, "
            f'or {first}submit with on_conflict="restart" (stepflow submit --restart)'
        )


class SingletonTaken(RunConflict):
    """Another run of a singleton lives, and your submit asks to be refused then."""

    def __init__(self, key: str, run_id: str) -> None:
        self.key, self.run_id = key, run_id
        UsageError.__init__(
            self,
            f"run {run_id!r} lives and has singleton {shown(key)}; wait for it to end, or submit "
            'with when_taken="same" or "replace"',
        )


class GroupMismatch(UsageError):
    """
    A group was submitted before with other members, another join or other webhooks.

    *added* are the keys that it did not have, *missing* those that it had, *changed* those with
    another runner, input or option; all sorted.
    """

    def __init__(
        self, group_id: str, *, added: list[str], missing: list[str], changed: list[str]
    ) -> None:
        self.group = group_id
        self.added, self.missing, self.changed = added, missing, changed
        found = {"new": added, "missing": missing, "different": changed}
        told = [f"{len(keys):,} {what}: {_some(keys)}" for what, keys in found.items() if keys]
        told = told or ["its join or webhooks differ"]
        super().__init__(
            f"group {group_id!r} was submitted with another manifest ({'; '.join(told)}); pick "
            "another group id, or forget the old one"
        )


def _some(keys: list[str]) -> str:
    return ", ".join(keys[:5]) + (", …" if len(keys) > 5 else "")  # noqa: PLR2004


class ResourceNotOpen(UsageError):
    """A resource was used where no worker has set it up."""

    def __init__(self, name: str) -> None:
        self.resource = name
        super().__init__(
            f"resource {name!r} is not set up here; workers and harnesses pass it to steps, "
            "runners, jobs and hooks. Whoever calls the function by hand passes it as an argument"
        )


class LifespanNotOpen(UsageError):
    """The `value` of a lifespan was read where no worker has opened it."""

    def __init__(self, name: str) -> None:
        self.lifespan = name
        super().__init__(
            f"lifespan {name!r} is not open here; workers and harnesses open it: use it in steps, "
            "runners, jobs and hooks"
        )
