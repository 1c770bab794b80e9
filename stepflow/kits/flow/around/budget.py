"""What stands around the call of a step's function: the budgets that it spends of."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from decimal import Decimal
from functools import partial
from hashlib import blake2b
from typing import Any

from stepflow.core.budgets.budget import Spending, cost_of
from stepflow.core.budgets.cost import Cost, dollars
from stepflow.core.journal import KEYED
from stepflow.core.outcomes import readable
from stepflow.errors import BudgetExceeded, InvalidOption, Postponed, shown
from stepflow.kits.flow.commands.command import WorkflowHost
from stepflow.kits.flow.commands.expected import ExpectedAnswer
from stepflow.kits.flow.commands.question import QuestionCommand
from stepflow.kits.flow.commands.step import StepCommand
from stepflow.kits.flow.runtime import FlowRuntime, Settling
from stepflow.store.budgets.spending import NoRoom, Reservation, sheet_name, waits_for

log = logging.getLogger("stepflow.budgets")


class StepSpends:
    """
    What one step spends: reserved before each call of its function, settled with its entry.

    *slot* names the step among all that spend: of its calls one is under way at a time.
    """

    __slots__ = (
        "_answers", "_denied", "_granted", "_host",
        "_most", "_questions", "_reserved", "_seen", "_spending",
        "_step",
    )  # fmt: skip

    def __init__(self, spending: Spending, host: WorkflowHost) -> None:
        self._spending = spending
        self._host = host
        self._step: StepCommand
        self._reserved: Reservation | None = None
        self._most: Cost
        #: by sheet, how often people have granted its amount once more
        self._granted: dict[str, int] = {}
        #: sheets of which people have said that there may not be more
        self._denied: set[str] = set()
        #: what people are asked, by place
        self._questions: dict[str, QuestionCommand] = {}
        #: answers of people so far, and those that the last try knew
        self._answers = self._seen = 0

    def attach(self, step: StepCommand) -> None:
        """Learn whose calls these are."""
        self._step, step.spends = step, self

    async def __call__(self, runtime: FlowRuntime, call: Callable[[], Awaitable[Any]]) -> Any:
        """Reserve what the call costs at most, then call."""
        self._reserved, self._seen = None, self._answers
        run, host = self._host.run, self._host
        slot = f"{run.id}.{run.generation}/{host.restarts}/{self._step.occurrence}"
        most = self._most = self._spending.upper_bound()
        budgets = self._spending.budgets
        answer = await runtime.budgets.reserve(budgets, most, slot, self._granted)
        while isinstance(answer, NoRoom):
            self._refuse(answer, partial(runtime.budgets.wait, budgets, slot))
            answer = await runtime.budgets.reserve(budgets, most, slot, self._granted)
        self._reserved = answer
        return await call()

    @property
    def has_news(self) -> bool:
        """Whether people have answered since the last try began."""
        return self._answers != self._seen

    def settling(self, came_to: Any) -> Settling | None:
        """Say what the entry settles that remembers *came_to*, a value or an exception."""
        reserved, self._reserved = self._reserved, None
        return None if reserved is None else Settling(reserved, self._used(came_to))

    def price(self, error: BaseException, value: Any) -> None:
        """Have *error* say what the *value* has cost that cannot be remembered."""
        error.stepflow_cost = self._used(value)  # type: ignore[attr-defined]

    def leave(self, runtime: FlowRuntime, came_to: Any) -> None:
        """Settle an attempt of which nothing is remembered."""
        settling = self.settling(came_to)
        if settling is not None:
            runtime.budgets.settle(*settling)

    def _used(self, came_to: Any) -> Cost | None:
        try:
            used: object = cost_of(came_to) or self._spending.used(came_to)
        except BaseException as error:  # noqa: BLE001  a function of user code
            problem = f"{type(error).__name__}: {readable(error)}"
            log.warning("step %r: nobody knows what it has cost: %s", self._step.name, problem)
            return None
        if used is None or isinstance(used, Cost):
            return used
        log.warning("step %r: used= gave %s, which is no Cost", self._step.name, shown(used))
        return None

    def _refuse(self, found: NoRoom, wait: Callable[[], Callable[[], None] | None]) -> None:
        """Raise what becomes of the step: it waits, or fails; not where people have said yes."""
        sheet = sheet_name(found.budget.account, found.window)
        action = found.budget.on_exceeded
        if found.is_spent and action == "ask":
            self._ask(found, sheet)
            if self._granted.get(sheet, 0) > found.granted:
                return
        if found.is_spent and (action == "fail" or sheet in self._denied):
            raise self._exceeded(found)
        raise Postponed(
            waits_for(found.budget.account), found.again_at, found.inbox, give_up=wait()
        )

    def _exceeded(self, found: NoRoom) -> BudgetExceeded:
        most = self._most
        return BudgetExceeded(
            found.budget.account, found.window, found.unit, _amount(found, found.spent),
            _amount(found, found.limit),
            dollars(most.micros or 0) if found.unit == "usd" else Decimal(most.tokens),
        )  # fmt: skip

    def _ask(self, found: NoRoom, sheet: str) -> None:
        """
        Ask people whether there may be more, once for each time that it was granted.

        The place of a key, which a replay keeps until it is asked for: whether a step has room is
        nothing that its history says.
        """
        about = f"{self._step.occurrence}|{sheet}|{found.granted}"
        place = f"{KEYED}budget:{blake2b(about.encode(), digest_size=16).hexdigest()}"
        if place in self._questions:
            return
        base = found.limit // (found.granted + 1)
        when = f" of {found.window}" if found.window else ""
        prompt = (
            f"Budget {found.budget.account!r} has spent {_amount(found, found.spent):,f} of "
            f"{_amount(found, found.limit):,f} {found.unit}{when}, too much for step "
            f"{self._step.name!r} to go on. Grant it {_amount(found, base):,f} {found.unit} more?"
        )
        host = self._host
        question = QuestionCommand(
            place, host.create_future(), host, ExpectedAnswer(bool), prompt, None
        )
        self._questions[place] = question
        self._step.future.add_done_callback(lambda _: question.future.cancel())
        question.future.add_done_callback(lambda done: self._answered(done, sheet, found.granted))
        host.start(question)
        if question.future.done():  # people have answered, and the worker that asked is gone
            self._take_in(question.future.result(), sheet, found.granted)

    def _answered(self, done: asyncio.Future[Any], sheet: str, granted: int) -> None:
        """Take in what people say, and have the step look again."""
        if done.cancelled() or done.exception() is not None:
            return
        self._take_in(done.result(), sheet, granted)
        self._answers += 1
        if not self._step.is_busy:
            self._step.due_at = None
        self._host.wake()

    def _take_in(self, is_granted: object, sheet: str, granted: int) -> None:
        if is_granted:
            self._granted[sheet] = granted + 1
        else:
            self._denied.add(sheet)


def _amount(found: NoRoom, number: int) -> Decimal:
    return dollars(number) if found.unit == "usd" else Decimal(number)


def spends(spending: object, host: WorkflowHost, name: str) -> StepSpends:
    """Say what a step spends; raises InvalidOption for what says nothing of it."""
    if not isinstance(spending, Spending):
        msg = (
            f"spends of step {name!r} is {shown(spending)}; write "
            "spends=budget.spend(usd='0.02', tokens=4000)"
        )
        raise InvalidOption(msg)
    return StepSpends(spending, host)
