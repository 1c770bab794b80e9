"""The machine: its states, and what is done in each."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import timedelta
from enum import Enum
from inspect import cleandoc
from typing import Any, Generic, TypeVar

from stepflow.core.backoff import RetryPolicy, check_policy
from stepflow.core.fanout.join import JoinLike, as_join
from stepflow.engine.user_code.arguments import reader_for
from stepflow.engine.user_code.callables import check_callable
from stepflow.errors import InvalidMachine, InvalidOption, shown
from stepflow.kits.flow.commands.poll import Every, Pending, wait_after
from stepflow.kits.machine.calls import Options, Undo
from stepflow.kits.machine.check import faults_of
from stepflow.kits.machine.context import More
from stepflow.kits.machine.forms import (
    After,
    Ask,
    Batch,
    Form,
    Plain,
    Poll,
    Router,
    Split,
    Stepped,
    Timer,
)
from stepflow.kits.machine.shape import Data, Shape
from stepflow.kits.machine.typed import MachineResult, Reads, RouterDecorator, StateDecorator
from stepflow.store.values.annotations import kind_of
from stepflow.store.values.codec import pack
from stepflow.times import seconds

S = TypeVar("S", bound=Enum)
D = TypeVar("D")
F = TypeVar("F", bound=Callable[..., Any])

Duration = float | timedelta
#: makes a state of its label, where it may go, and its function
Make = Callable[[str, tuple[str, ...], Any], Form]


class Machine(Generic[S, D]):
    """
    A typed state machine: `Machine("loan", State, start=State.NEW, ends={State.DONE}, data=Loan)`.

    *states* is an Enum; its values are the labels that are stored. *data*, a dataclass or a
    pydantic model, is the type of the one object that a run carries from state to state.
    `app.machine(loan)` makes it a workflow, whose input is that object and whose result is
    `{"state": label of the end, "data": ...}`, a MachineResult where you submit the machine itself,
    `client.submit(loan, Loan(...))`. *version* and *retry* are as for `app.workflow`.

    A run continues as new after *restart_after* transitions, so that its journal stays short; not
    while there is something to undo. *doc* says what it does, and is shown with its graph; by
    default it is the docstring of *states*.
    """

    def __init__(
        self,
        name: str,
        states: type[S],
        *,
        start: S,
        ends: Collection[S],
        data: type[D],
        version: int = 1,
        retry: RetryPolicy | None = None,
        restart_after: int = 500,
        doc: str | None = None,
    ) -> None:
        self.name, self.states, self.data, self.version = name, states, data, version
        self.retry, self.restart_after = retry, restart_after
        #: what it does, in words
        self.doc: str = cleandoc((states.__doc__ if doc is None else doc) or "")
        #: what was wrong where it was declared
        self.faults: list[str] = []
        self.forms: dict[str, Form] = {}
        is_enum = isinstance(states, type) and issubclass(states, Enum)
        self.labels: list[str] = [each.value for each in states] if is_enum else []
        self.label_of_start = "".join(self._labels([start], "start"))
        self.end_labels = frozenset(self._labels(ends, "ends"))
        if isinstance(restart_after, bool) or not isinstance(restart_after, int):
            self.faults.append(f"restart_after is {shown(restart_after)}; it is a whole number")
        elif restart_after < 1:
            self.faults.append(f"restart_after is {restart_after}; it is at least 1")

    def state(
        self,
        state: S,
        *,
        to: S | Iterable[S],
        retry: RetryPolicy | None = None,
        timeout: Duration | None = None,
        compensate: Callable[[D], Any] | None = None,
        undo_timeout: Duration = 60,
    ) -> StateDecorator[D, S]:
        """
        Have the function below do the work of *state* and return the next, one of *to*.

        It is called with the data, and with a StateContext if it has a second parameter. What it
        changes in the data is recorded with its answer; a failed attempt changes nothing. *retry*
        is the policy of its attempts, *timeout* (seconds or timedelta) limits one.

        *compensate* is called with the data as they were when the state was left, if the run later
        fails or is cancelled; *undo_timeout* limits an attempt of that.
        """
        options = self._options(state, retry, timeout, compensate, undo_timeout)
        return self._adding(
            lambda label, to, function: Plain(label, to, function, options), state, to
        )

    def router(self, state: S, *, to: S | Iterable[S]) -> RouterDecorator[D, S]:
        """
        Have the function below choose the next state by the data: a plain, pure `def`.

        It leaves no entry in the journal and is called again on replay. What it changes in the data
        is lost.
        """
        return self._adding(Router, state, to)

    def poll(
        self,
        state: S,
        *,
        to: S | Iterable[S],
        every: Every,
        timeout: Duration | None = None,
        on_timeout: S | None = None,
        max_errors: int = 3,
        compensate: Callable[[D], Any] | None = None,
        undo_timeout: Duration = 60,
    ) -> StateDecorator[D, S | Pending | None]:
        """
        Call the function below until it returns a state, and not None or `Pending(delay=)`.

        *every* and *max_errors* are as for `ctx.poll`; 0 or 1 fails with the first error. After
        *timeout* (seconds or timedelta), the bound on the whole, the machine goes to *on_timeout*,
        or fails. Only the call that returns a state changes the data.
        """
        options = self._options(state, None, None, compensate, undo_timeout)
        ends_s = self._checked(state, lambda: _seconds(timeout, "timeout"))
        if not callable(every):
            self._checked(state, lambda: wait_after(every, 1))
        late = [] if on_timeout is None else self._labels([on_timeout], "on_timeout")

        def make(label: str, to: tuple[str, ...], function: Any) -> Form:
            return Poll(
                label, (*to, *late), function, options, every=every, timeout_s=ends_s,
                max_errors=max_errors, on_timeout=late[0] if late else None,
            )  # fmt: skip

        return self._adding(make, state, to)

    def stepped(
        self,
        state: S,
        *,
        to: S | Iterable[S],
        retry: RetryPolicy | None = None,
        timeout: Duration | None = None,
    ) -> StateDecorator[D, S | More]:
        """
        Call the function below with the data and a cursor, until it returns a state.

        The cursor is None at first, then that of the `More(cursor)` that it has returned. Each call
        is recorded with its cursor and its data, so a crash repeats one call at most. The next
        visit of the state begins without a cursor.
        """
        options = self._options(state, retry, timeout)
        return self._adding(
            lambda label, to, function: Stepped(label, to, function, options), state, to
        )

    def batch(
        self,
        state: S,
        load: Reads[D],
        each: Callable[[Any], Any],
        *,
        to: S | Iterable[S],
        limit: int = 10,
        each_retry: RetryPolicy | None = None,
        each_timeout: Duration | None = None,
        retry: RetryPolicy | None = None,
        timeout: Duration | None = None,
        compensate: Callable[[D], Any] | None = None,
        undo_timeout: Duration = 60,
    ) -> StateDecorator[D, S]:
        """
        Call *load* with the data, then *each* with every item, then the function below.

        That one gets the data and a list, with a value or a Failed for each item, in their order;
        it returns the next state. At most *limit* items are in progress. *each_retry* and
        *each_timeout* are for one item, *retry* and *timeout* for the other two. Only the function
        below changes the data.
        """
        options = self._options(state, retry, timeout, compensate, undo_timeout)
        item = self._options(state, each_retry, each_timeout)

        def make(label: str, to: tuple[str, ...], function: Any) -> Form:
            return Batch(
                label, to, function, options, load=load, each=each, limit=limit,
                retry=item.retry, timeout_s=item.timeout_s,
            )  # fmt: skip

        return self._adding(make, state, to)

    def split(
        self,
        state: S,
        branches: Sequence[Reads[D]],
        *,
        to: S,
        join: JoinLike = "all",
        limit: int | None = None,
        retry: RetryPolicy | None = None,
        timeout: Duration | None = None,
    ) -> None:
        """
        Run *branches* side by side, at most *limit* at once, until *join* is met; then go on.

        Each is called with the data, which it cannot change, and is a step: a crash runs only those
        again that have no answer. The next state finds `ctx.branches[label]`: a value or a Failed
        for each. *retry* and *timeout* are for one branch; the join may have a timeout of its own.
        A join that cannot be met fails the run.
        """
        options = self._options(state, retry, timeout)
        joined = self._checked(state, lambda: as_join(join, "split")) or as_join("all", "split")
        label = self._label(state)
        goes = tuple(self._labels([to], f"to= of state {label!r}"))
        self._add(Split(label, goes, branches, options, join=joined, limit=limit))

    def timer(self, state: S, after: After, *, to: S) -> None:
        """
        Wait, without occupying a worker, then go on.

        *after* is a duration (seconds or timedelta), a moment (an aware datetime), or a pure
        function of the data that returns one. It is fixed when the state is entered.
        """
        label = self._label(state)
        if not callable(after) and not hasattr(after, "tzinfo"):
            self._checked(state, lambda: seconds(after, "after"))
        self._add(Timer(label, tuple(self._labels([to], f"to= of state {label!r}")), after))

    def ask(
        self,
        state: S,
        wanted: Any,
        prompt: str,
        *,
        to: S | Iterable[S],
        timeout: Duration | None = None,
        retry: RetryPolicy | None = None,
        compensate: Callable[[D], Any] | None = None,
        undo_timeout: Duration = 60,
    ) -> StateDecorator[D, S]:
        """
        Ask people, then call the function below with the data and the answer.

        *wanted*, *prompt* and *timeout* are as for `ctx.ask`: the answer is None after the timeout.
        """
        options = self._options(state, retry, None, compensate, undo_timeout)
        ends_s = self._checked(state, lambda: _seconds(timeout, "timeout"))

        def make(label: str, to: tuple[str, ...], function: Any) -> Form:
            return Ask(label, to, function, options, wanted=wanted, prompt=prompt, timeout_s=ends_s)

        return self._adding(make, state, to)

    def ended(self, result: Any, /) -> MachineResult[S, D]:
        """
        Read the result of a run, `{"state": ..., "data": ...}`, with the types of this machine.

        A handle does so that `client.submit(machine, data)` gave. Raises UnreadableValue for data
        that do not fit the type any more, ValueError for a state that the machine does not have.
        """
        data = Data(self.name, kind_of(self.data), reader_for(self.name, self.data))
        return MachineResult(
            self.states(result["state"]), data.fresh(pack(result["data"], in_clear=True))
        )

    def validate(self) -> None:
        """Raise InvalidMachine, with all that is wrong at once; `app.machine` calls this."""
        faults = faults_of(self)
        if faults:
            raise InvalidMachine(self.name, faults)

    def bind(self) -> None:
        """Make it ready to run; raises InvalidMachine, or InvalidOption for its data's type."""
        self.validate()
        data = Data(self.name, kind_of(self.data), reader_for(self.name, self.data))
        self.shape = Shape(self.name, self.states, data)
        for form in self.forms.values():
            form.bind(self.shape)

    def code(self) -> tuple[Any, ...]:
        """Give all that says what it does: its build is made of that."""
        functions = [each for form in self.forms.values() for each, _ in form.functions]
        ways = [(label, *form.to) for label, form in self.forms.items()]
        return (*functions, *ways)

    def _adding(self, make: Make, state: S, to: S | Iterable[S]) -> Callable[[F], F]:
        """Give the decorator that adds what *make* makes of a label, its `to` and a function."""
        label = self._label(state)
        given = [to] if isinstance(to, Enum | str) or not isinstance(to, Iterable) else to
        named = self._labels(given, f"to= of state {label!r}")
        goes = tuple(sorted(named, key=self.labels.index))

        def add(function: F) -> F:
            self._add(make(label, goes, function))
            return function

        return add

    def _add(self, form: Form) -> None:
        if form.label in self.forms:
            self.faults.append(f"state {form.label!r} is declared twice")
        self.forms[form.label] = form

    def _label(self, state: object) -> str:
        found = self._labels([state], "a state that has a function")
        return found[0] if found else str(state)

    def _labels(self, states: Iterable[object], what: str) -> list[str]:
        """Give the labels of *states*; what is no state of the machine is a fault."""
        labels = []
        for each in states:
            if isinstance(each, Enum) and isinstance(each, self.states):
                labels.append(each.value)
            else:
                self.faults.append(f"{what}: {shown(each)} is no state of the machine")
        return labels

    def _options(
        self,
        state: object,
        retry: RetryPolicy | None,
        timeout: Duration | None,
        compensate: Callable[..., Any] | None = None,
        undo_timeout: Duration = 60,
    ) -> Options:
        """Take in the options of a state; what is wrong with them is a fault."""

        def make() -> Options:
            if retry is not None:
                check_policy(retry, "its steps")
            undo = None
            if compensate is not None:
                check_callable(compensate, "compensate", "compensate={}")
                undo = Undo(compensate, retry, seconds(undo_timeout, "undo_timeout"))
            return Options(retry, _seconds(timeout, "timeout"), undo)

        return self._checked(state, make) or Options()

    def _checked(self, state: object, make: Callable[[], Any]) -> Any:
        try:
            return make()
        except InvalidOption as error:
            self.faults.append(f"state {getattr(state, 'value', state)!r}: {error}")
            return None


def _seconds(duration: Duration | None, what: str) -> float | None:
    return None if duration is None else seconds(duration, what)
