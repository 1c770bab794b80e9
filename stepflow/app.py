"""The app object: it knows the runners and hooks of your code and builds its workers."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, TypeVar, overload

from stepflow.client import AsyncClient, Client, resolve
from stepflow.core.backoff import RetryPolicy
from stepflow.core.ids import check_name
from stepflow.core.runner import StepRunner
from stepflow.engine.env import Env
from stepflow.engine.events.telemetry import Telemetry
from stepflow.engine.hooks.choice import HookChoice, read_events
from stepflow.engine.registry import HookFunction, Registry, RunnerFunction
from stepflow.engine.user_code.arguments import payload_type, reader_for
from stepflow.engine.user_code.around import Around
from stepflow.engine.user_code.declarations import (
    check_declared,
    check_runner,
    own_name,
    takes_hook_context,
)
from stepflow.engine.user_code.listening import Listening
from stepflow.engine.user_code.registered import Registration, mark, registration_of
from stepflow.engine.user_code.resources.supplying import Supplying
from stepflow.engine.user_code.scheduling import Scheduling
from stepflow.errors import InvalidOption
from stepflow.hooks.delivering import delivering
from stepflow.hooks.given import read_named_webhooks
from stepflow.hooks.schedule import next_wait_s
from stepflow.hooks.webhook import Webhook
from stepflow.jobs import Job, JobDecorator, call_runner
from stepflow.settings import Settings, load_settings, redis_url
from stepflow.store.connection.address import Address
from stepflow.store.durability.level import Durability, at_durability
from stepflow.store.keys import Keys
from stepflow.times import seconds
from stepflow.worker.notify import Deliver
from stepflow.worker.worker import Worker, WorkerOptions

if TYPE_CHECKING:
    from stepflow.core.limits.limit import Limit

F = TypeVar("F", bound=RunnerFunction)
H = TypeVar("H", bound=HookFunction)
P = ParamSpec("P")
T = TypeVar("T")


class CoreApp(Around, Listening, Scheduling, Supplying):
    """
    An app: it registers your runners, jobs and hooks.

    Use `@app.runner`, `@app.job` and `@app.on_terminal`. *url* beats STEPFLOW_REDIS_URL, that beats
    REDIS_URL; with none of them the app uses the embedded server. It connects when it first has
    to. Every run of this app calls *webhooks*, Webhook objects or URLs, when it ends: a list, or by
    names of yours. *namespace* is the prefix of all keys in Redis. *telemetry* traces its clients
    and workers: `stepflow.telemetry.OpenTelemetry()`. *version* is that of your app: of two workers
    that declare a schedule differently, the one of the later version counts; by default the time at
    which the code was written decides. *archive* is the URL of the SQL database that keeps the ends
    of its runs, else STEPFLOW_ARCHIVE_URL. *durability* is where a write must be before it counts
    as done, else STEPFLOW_DURABILITY: "fsync" on disk, "replicated" on replicas as well.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        namespace: str | None = None,
        settings: Settings | None = None,
        webhooks: Mapping[str, Webhook | str] | Sequence[Webhook | str] | None = None,
        telemetry: Telemetry | None = None,
        version: str = "",
        archive: str | None = None,
        durability: Durability | None = None,
    ) -> None:
        self.settings = settings or load_settings()
        self.namespace = namespace or self.settings.redis.namespace
        self.registry = Registry()
        self.registry.version = version
        if durability is not None:
            self.settings = at_durability(self.settings, durability)
        if archive:
            self.settings = self.settings.model_copy(
                update={"archive": self.settings.archive.at(archive)}
            )
        if self.settings.archive.url:
            self.registry.archive = self.settings.archive
        if webhooks:
            self.registry.webhooks.update(read_named_webhooks(webhooks))
        if telemetry is not None:
            self.registry.telemetry = telemetry
            self.registry.middleware.append(telemetry.around_step)
        self._url = url
        self._client: Client | None = None
        self._async_client: AsyncClient | None = None

    @property
    def url(self) -> str:
        """
        The URL that this app connects to.

        With no URL set, reading it starts or joins the embedded server.
        """
        self._url = resolve(self._url, self.settings)
        return self._url

    @property
    def given_url(self) -> str | None:
        """The URL that this app was given or finds set; None means the embedded server."""
        return redis_url(self._url, self.settings)

    @property
    def client(self) -> Client:
        """The blocking client of this app's Redis, made on first use."""
        if self._client is None:
            self._client = Client(
                self._url,
                namespace=self.namespace,
                settings=self.settings,
                registry=self.registry,
            )
        return self._client

    @property
    def async_client(self) -> AsyncClient:
        """The async client of this app's Redis, made on first use; for any event loop."""
        if self._async_client is None:
            self._async_client = AsyncClient(
                self._url,
                namespace=self.namespace,
                settings=self.settings,
                registry=self.registry,
            )
        return self._async_client

    @overload
    def runner(self, name: F, /) -> F: ...

    @overload
    def runner(
        self,
        name: str | None = None,
        *,
        retry: RetryPolicy | None = None,
        step_timeout: float | timedelta | None = None,
        limits: Sequence[Limit] = (),
        isolation: Literal["process"] | None = None,
        durability: Durability | None = None,
    ) -> Callable[[F], F]: ...

    def runner(
        self,
        name: Any = None,
        *,
        retry: RetryPolicy | None = None,
        step_timeout: float | timedelta | None = None,
        limits: Sequence[Limit] = (),
        isolation: Literal["process"] | None = None,
        durability: Durability | None = None,
    ) -> Any:
        """
        Register the function below as runner *name*. It receives a step and returns what happens.

        Without a name it is called as the function. *retry* applies where a submit brings no policy
        of its own; *step_timeout* (seconds or a timedelta) limits one attempt. *limits* say how
        much of its runs, and of those of other runners that name them, may go on at once. With
        *isolation* "process" a plain function runs in a child process. *durability* is the app's
        for its runs alone. Raises InvalidName or InvalidOption for what cannot be.
        """

        def register(function: F) -> F:
            check_declared(function, "@app.runner")
            called = own_name(function, "@app.runner") if name is None else name
            self.register(
                called,
                function
                if isolation is None
                else self._isolated_runner(function, isolation, called),
                retry=retry,
                step_timeout=step_timeout,
                limits=limits,
                durability=durability,
            )
            return function

        if name is None or isinstance(name, str):
            return register
        function, name = name, None
        return register(function)

    def register(
        self,
        name: str,
        runner: StepRunner | RunnerFunction,
        *,
        retry: RetryPolicy | None = None,
        step_timeout: float | timedelta | None = None,
        limits: Sequence[Limit] = (),
        durability: Durability | None = None,
    ) -> None:
        """Register *runner*, a StepRunner or a function, under *name*; see `runner`."""
        if isinstance(runner, StepRunner):
            kind = payload_type(runner.run_step)
        else:
            check_declared(runner, "app.register")
            check_runner(runner, name)
            kind = payload_type(runner)
        what = f"step_timeout of runner {name!r}"
        self.registry.add(
            name,
            runner,
            retry=retry,
            step_timeout_s=None if step_timeout is None else seconds(step_timeout, what),
            read=None if kind is None else reader_for(name, kind),
            limits=limits,
            durability=durability,
        )
        if not isinstance(runner, StepRunner):
            mark(runner, Registration(self.registry, "runner", name))

    @overload
    def on_terminal(self, hook: H, /) -> H: ...

    @overload
    def on_terminal(
        self,
        *,
        events: Sequence[str] | str | None = None,
        runner: str | Callable[..., Any] | Sequence[str | Callable[..., Any]] | None = None,
    ) -> Callable[[H], H]: ...

    def on_terminal(self, hook: Any = None, *, events: Any = None, runner: Any = None) -> Any:
        """
        Call the function below with the RunOutcome of every run of this app that ends.

        `@app.on_terminal(events=["failed"], runner="etl")` chooses: *events* are ends (succeeded,
        failed, cancelled), *runner* is one or several runners or workflows, by name or function.
        A hook with a second parameter gets a HookContext, whose runs and values are written with
        the settlement of its delivery, all or nothing.

        It is called at least once for each end. When it raises it is called again, 8 times in all
        over some 28 hours.
        """

        def register(hook: H) -> H:
            check_declared(hook, "@app.on_terminal")
            choice = HookChoice(
                frozenset() if events is None else read_events(events),
                self._runners_of(runner),
                takes_hook_context(hook),
            )
            self.registry.add_hook(hook, choice=choice)
            return hook

        return register if hook is None else register(hook)

    def _runners_of(self, runner: Any) -> frozenset[str]:
        given = runner if isinstance(runner, list | tuple | set | frozenset) else [runner]
        verb = "@app.on_terminal(runner=...)"
        return frozenset(
            check_name("runner", each)
            if isinstance(each, str)
            else registration_of(each, self.registry, None, verb).name
            for each in given
            if each is not None
        )

    def on_paused(self, hook: H) -> H:
        """
        Call the function below with a RunOutcome of status "paused" when a run of this app pauses.

        A run pauses when no live worker has code that fits it. Its *reason* says what does not fit;
        `stepflow resume` continues it. The function is called like those of `on_terminal`.
        """
        check_declared(hook, "@app.on_paused")
        choice = HookChoice(has_context=takes_hook_context(hook))
        self.registry.add_hook(hook, on_paused=True, choice=choice)
        return hook

    @overload
    def job(
        self, function: Callable[P, Coroutine[Any, Any, T]], /
    ) -> Job[P, Coroutine[Any, Any, T], T]: ...

    @overload
    def job(self, function: Callable[P, T], /) -> Job[P, T, T]: ...

    @overload
    def job(
        self,
        *,
        name: str | None = None,
        retry: RetryPolicy | None = None,
        timeout: float | timedelta | None = None,
        queue: str = "default",
        dedup: bool = False,
        limits: Sequence[Limit] = (),
        isolation: Literal["process"] | None = None,
        durability: Durability | None = None,
    ) -> JobDecorator: ...

    def job(
        self,
        function: Any = None,
        *,
        name: str | None = None,
        retry: RetryPolicy | None = None,
        timeout: float | timedelta | None = None,
        queue: str = "default",
        dedup: bool = False,
        limits: Sequence[Limit] = (),
        isolation: Literal["process"] | None = None,
        durability: Durability | None = None,
    ) -> Any:
        """
        Make a typed function a run of one step.

        `await resize.submit("a.png", 80)` returns a handle with `result()`. With *dedup* the run id
        follows from the arguments, so the same call is the same run. *timeout* (seconds or a
        timedelta) limits one attempt; *limits* and *durability* are as for `runner`. With
        *isolation* "process" a plain function runs in a child process, which is killed when its
        time is up.
        """

        def make(function: Callable[..., Any]) -> Job[..., Any, Any]:
            check_declared(function, "@app.job")
            called = own_name(function, "@app.job", is_dotted=True) if name is None else name
            what = f"job {called!r}"
            runs = function if isolation is None else self.isolated(function, isolation, what)
            job = Job[..., Any, Any](function, called, self, queue, dedup=dedup)
            limit = None if timeout is None else seconds(timeout, f"timeout of job {job.name!r}")
            self.registry.add(
                job.name, call_runner(runs, job.name), retry=retry, step_timeout_s=limit,
                limits=limits, durability=durability,
            )  # fmt: skip
            mark(job, Registration(self.registry, "job", job.name))
            return job

        if isinstance(function, str):
            msg = f"@app.job takes its name by keyword; write @app.job(name={function!r})"
            raise InvalidOption(msg)
        return make if function is None else make(function)

    def _isolated_runner(self, function: Any, isolation: object, name: str) -> Any:
        from stepflow.engine.user_code.processes import isolated  # noqa: PLC0415  few have any

        what = f"runner {name!r}"
        return isolated.isolated_runner(function, isolation, what, self.settings.process)

    def isolated(
        self, function: Callable[..., Any], isolation: object, what: str
    ) -> Callable[..., Any]:
        """Give what calls *function* in a child process; *what* names it in an InvalidOption."""
        from stepflow.engine.user_code.processes import isolated  # noqa: PLC0415  few have any

        return isolated.isolated(function, isolation, what, self.settings.process)

    def make_worker(
        self,
        options: WorkerOptions,
        *,
        deliver: Any,
        url: str | None = None,
        heartbeat: Callable[[], None] | None = None,
        on_blocked: Callable[[], None] | None = None,
    ) -> Worker:
        """
        Build a worker for the running loop.

        *deliver* is an entered Deliverer of hooks/.
        """
        env = Env(Keys(self.namespace), self.settings)
        return Worker(
            Address.parse(url or self.url, self.settings.redis), env, self.registry, options,
            deliver=self.delivering(deliver), next_wait=next_wait_s, heartbeat=heartbeat,
            on_blocked=on_blocked,
        )  # fmt: skip

    @staticmethod
    def delivering(deliverer: Any) -> Deliver:
        """Wrap a Deliverer of hooks/ in the function by which a worker delivers a webhook."""
        return delivering(deliverer)
