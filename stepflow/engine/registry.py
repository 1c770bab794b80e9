"""What this process can run: runners by name, and the hooks of its code base."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from stepflow.core.backoff import RetryPolicy, check_policy
from stepflow.core.events import Event, EventType
from stepflow.core.ids import check_name, check_version, runner_key
from stepflow.core.run import RunOutcome
from stepflow.core.runner import Step, StepRunner
from stepflow.engine.events.telemetry import Telemetry
from stepflow.engine.hooks.choice import ANY_END, HookChoice
from stepflow.engine.hooks.context import HookContext
from stepflow.engine.user_code.calls import is_async
from stepflow.engine.user_code.lifespan import Lifespan
from stepflow.engine.user_code.middleware import Middleware
from stepflow.engine.user_code.resources.scope import Resources
from stepflow.engine.user_code.resources.supply import supplied
from stepflow.errors import InvalidOption, NameTaken
from stepflow.settings import ArchiveSettings
from stepflow.store.durability.level import Durability, read_durability

if TYPE_CHECKING:
    from stepflow.core.graphs import Graph
    from stepflow.core.limits.limit import Limit
    from stepflow.engine.observing.observers import Observers
    from stepflow.engine.schedules.declared import Declaration

log = logging.getLogger("stepflow.client")

RunnerFunction = Callable[[Step[Any]], Any]
#: called with the outcome of a run; one with a second parameter gets a context as well
HookFunction = (
    Callable[[RunOutcome], None]
    | Callable[[RunOutcome], Awaitable[None]]
    | Callable[[RunOutcome, HookContext], None]
    | Callable[[RunOutcome, HookContext], Awaitable[None]]
)


@dataclass(frozen=True, slots=True)
class RegisteredRunner:
    """
    A runner as the engine calls it.

    *read* turns a plain payload into the annotated type, or is None.
    """

    name: str
    run: RunnerFunction
    is_async: bool
    policy: RetryPolicy
    step_timeout_s: float | None = None
    read: Callable[[Any], Any] | None = None
    #: None for a runner that has no versions
    version: int | None = None
    #: whether it says that it is an agent
    is_agent: bool = False
    #: when a write of its runs counts as done; None as the app says
    durability: Durability | None = None


@dataclass(slots=True)
class Registry:
    """The runners and hooks of one app; a workflow's later versions stand beside it as `name@2`."""

    runners: dict[str, RegisteredRunner] = field(default_factory=dict)
    #: whose it is: the same for the copies that harnesses make
    owner: object = field(default_factory=object)
    hooks: dict[str, HookFunction] = field(default_factory=dict)
    #: functions that are called when a run pauses
    paused_hooks: dict[str, HookFunction] = field(default_factory=dict)
    #: which ends hooks have chosen, by their name; those that have chosen nothing are not here
    hook_choices: dict[str, HookChoice] = field(default_factory=dict)
    #: webhooks that every run of this app gets, by name
    webhooks: dict[str, Any] = field(default_factory=dict)
    #: what a worker opens at its start, in this order
    lifespans: list[Lifespan[Any]] = field(default_factory=list)
    #: what a worker sets up and hands to functions that ask for it
    resources: Resources = field(default_factory=Resources)
    #: what stands around each call of a step, runner, job or hook, the outermost first
    middleware: list[Middleware] = field(default_factory=list)
    #: functions that a worker tells of events
    listeners: dict[EventType, list[Callable[[Event], Any]]] = field(default_factory=dict)
    #: told what its runs do, by its clients and workers; None for none
    observers: Observers | None = None
    #: what its code declares to run at given times
    schedules: list[Declaration] = field(default_factory=list)
    #: the limits of each runner that has any, by its key
    limited: dict[str, Sequence[Limit]] = field(default_factory=dict)
    #: the durability of those of its runners that have one, by their names
    durable: dict[str, Durability] = field(default_factory=dict)
    #: by the keys of its workflows that take no input, whether it was logged that one was given
    without_input: dict[str, bool] = field(default_factory=dict)
    #: the graphs of those of its runners that have one, by the runners' keys
    graphs: dict[str, Graph] = field(default_factory=dict)
    #: what the app knows of workflows that are data; None where it runs none
    definitions: Any = None
    #: the version that the app was given; empty for none
    version: str = ""
    #: unix seconds: when the newest file with a schedule was written
    deployed_at: float = 0.0
    #: where the ends of its runs are archived; None for nowhere
    archive: ArchiveSettings | None = None
    #: traces what clients and workers of this app do; None for none
    telemetry: Telemetry | None = None

    def add(
        self,
        name: str,
        runner: StepRunner | RunnerFunction,
        *,
        retry: RetryPolicy | None = None,
        step_timeout_s: float | None = None,
        read: Callable[[Any], Any] | None = None,
        version: int | None = None,
        is_agent: bool = False,
        limits: Sequence[Limit] = (),
        durability: Durability | None = None,
    ) -> RegisteredRunner:
        """Register *runner* under *name*, which may be taken once, or once for each version."""
        key = runner_key(
            check_name("runner", name), 1 if version is None else check_version(version)
        )
        if key in self.runners:
            newest = self.newest(name) or 1
            is_versioned = version is not None and self.runners[key].version is not None
            raise NameTaken(name, version, newest + 1 if is_versioned else None)
        check_policy(retry, f"runner {name!r}")
        if step_timeout_s is not None and step_timeout_s <= 0:
            msg = (
                f"step_timeout of runner {name!r} is {step_timeout_s}; "
                "it must be above 0 seconds, or None"
            )
            raise InvalidOption(msg)
        run = supplied(runner.run_step if isinstance(runner, StepRunner) else runner, is_whole=True)
        entry = RegisteredRunner(
            name,
            run,
            is_async=is_async(run),
            policy=retry or RetryPolicy(),
            step_timeout_s=step_timeout_s,
            read=read,
            version=version,
            is_agent=is_agent,
            durability=durability,
        )
        if durability is not None:
            self.durable[name] = read_durability(durability, f"durability of runner {name!r}")
        if limits:
            from stepflow.engine.limits.check import check_limits  # noqa: PLC0415  few have any

            self.limited[key] = check_limits(limits, name, self.limited)
        self.runners[key] = entry
        return entry

    @property
    def app_version(self) -> str:
        """The version of the app, or the time of its deploy, which stands for one."""
        from stepflow.engine.schedules.declared import deployed_at  # noqa: PLC0415  few need it

        return self.version or deployed_at(self.deployed_at)

    @property
    def names(self) -> list[str]:
        """The names of the runners, whatever their versions."""
        return list(dict.fromkeys(entry.name for entry in self.runners.values()))

    def newest(self, name: str) -> int | None:
        """
        Give the newest version registered of a runner, 1 for one that has none.

        None when it is not known here.
        """
        return max(
            (entry.version or 1 for entry in self.runners.values() if entry.name == name),
            default=None,
        )

    def check_input(
        self, name: str, version: int | None, payload: object, *, strict: bool = False
    ) -> None:
        """
        Log, once each, an input for a workflow that takes none; nothing would read it.

        With *strict* it raises InvalidOption instead. *version* None means the newest one. A
        workflow that is not of this app is not known here.
        """
        if payload is None or not self.without_input:
            return
        key = runner_key(name, version or self.newest(name) or 1)
        is_said = self.without_input.get(key)
        if is_said is None or (is_said and not strict):
            return
        words = (
            f"workflow {name!r} takes no input: nothing reads the {type(payload).__name__} that it "
            "is given; leave that out, or give its function a parameter for it, beside its ctx"
        )
        if strict:
            raise InvalidOption(words)
        self.without_input[key] = True
        log.warning("%s", words)

    def add_hook(
        self, hook: HookFunction, *, on_paused: bool = False, choice: HookChoice = ANY_END
    ) -> None:
        """
        Register a function to be called with the outcome of the runs of this app, by its *choice*.

        With *on_paused* it is called when a run pauses instead.
        """
        hooks = self.paused_hooks if on_paused else self.hooks
        name = check_name(
            "hook", getattr(hook, "__qualname__", type(hook).__name__).replace("<locals>.", "")
        )
        if hooks.setdefault(name, hook) is not hook:
            raise NameTaken(name)
        if choice != self.hook_choices.setdefault(name, choice):
            raise NameTaken(name)
        if choice == ANY_END:
            del self.hook_choices[name]
