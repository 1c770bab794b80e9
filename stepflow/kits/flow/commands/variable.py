"""
Variables: small durable values of a run, or shared by the runs of a session.

Every access is remembered.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar, overload

from stepflow.core.ids import check_text
from stepflow.core.journal import Entry, EntryKind
from stepflow.engine.user_code.arguments import reader_for
from stepflow.engine.user_code.calls import EscapedError
from stepflow.engine.user_code.lossless import check_lossless
from stepflow.errors import InvalidOption, NotAnInteger, PayloadMismatch, UnreadableValue, shown
from stepflow.kits.flow.commands.command import Command, WorkflowHost
from stepflow.kits.flow.commands.host import CommandHost
from stepflow.kits.flow.step_options import Readers
from stepflow.store.values.annotations import kind_of
from stepflow.store.values.codec import pack, unpack
from stepflow.store.variables import LEAST, MOST, forms_of_var, read_var, write_var

#: the answer of an incr of what cannot be counted up
_NO_SUM = b"!"

#: what turns the data of an entry into what the workflow sees
Reader = Callable[[bytes], Any]

T = TypeVar("T")


class VariableCommand(Command):
    """
    The answer to one access to a variable, given by the script that remembers it.

    An incr counts once.
    """

    __slots__ = ("_args", "_reader", "_session", "_variable", "_verb")
    what = "variable"
    entry_kinds = (EntryKind.VAR,)

    def __init__(
        self,
        place: str,
        future: asyncio.Future[Any],
        session: str | None,
        verb: str,
        variable: str,
        args: Sequence[bytes],
        reader: Reader,
    ) -> None:
        super().__init__(
            place,
            " ".join((verb, variable) if session is None else (verb, session, variable)),
            future,
        )
        self._session = session
        self._verb = verb
        self._variable = variable
        self._args = args
        self._reader = reader

    def advance(self, host: CommandHost, now: float) -> None:
        del now
        access = (self._session, self._verb, self._variable, self._args)
        host.write_computed(
            self,
            EntryKind.VAR,
            lambda index, head: host.runtime.touch_var(index, head, *access),
        )

    def resolve(self, entry: Entry) -> None:
        if self._verb == "incr" and entry.data == _NO_SUM:
            self.future.set_exception(NotAnInteger(self._variable))
            return
        # outside of the try: a value that nobody can unpack is not the workflow's to answer for
        value = self._reader(entry.data)
        try:
            value = value if self.read is None else self.read(value)
        except (StopIteration, GeneratorExit) as error:  # awaited, they would end who awaits
            self.future.set_exception(EscapedError(error))
        except BaseException as error:  # noqa: BLE001  what reads it may be a validator, user code
            self.future.set_exception(error)
        else:
            self.future.set_result(value)


class Variables:
    """
    Named values of a run or a session. They survive crashes and `continue_as_new`.

    Await each call. None means that there is no value. Pass a type to get a value back as that
    type.
    """

    def __init__(
        self, host: WorkflowHost, session: str | None = None, readers: Readers | None = None
    ) -> None:
        self._host = host
        self._session = session
        self._readers = readers or Readers()

    @overload
    def get(
        self, name: str, default: None = None, *, type: type[T]
    ) -> asyncio.Future[T | None]: ...
    @overload
    def get(self, name: str, default: T, *, type: type[T]) -> asyncio.Future[T]: ...
    @overload
    def get(self, name: str, default: Any = None, *, type: Any = None) -> asyncio.Future[Any]: ...
    def get(
        self,
        name: str,
        default: Any = None,
        *,
        type: Any = None,  # noqa: A002  as of ctx.wait_for_signal
    ) -> asyncio.Future[Any]:
        """
        Return the value, as *type*, or *default* when there is none.

        Raises UnreadableValue for a value that is not of that type.
        """
        if type is None:
            return self._touch("get", name, (), lambda data: _found(read_var(data), default))
        convert = self._readers.known(("variable", type), lambda: reader_for("a variable", type))

        def read(value: Any) -> Any:
            try:
                return default if value is None else convert(value)
            except PayloadMismatch as misfit:
                msg = f"variable {name!r} is {shown(value)}, not of the type asked for"
                raise UnreadableValue(f"{msg}: {misfit.problem}") from misfit

        return self._touch("get", name, (), read_var, read)

    def set(self, name: str, value: Any) -> asyncio.Future[None]:
        """Write the value; None removes it."""
        return self._touch("set", name, (self._packed(name, value),), lambda _: None)

    def incr(self, name: str, by: int = 1) -> asyncio.Future[int]:
        """
        Add *by* to a whole number, counted from 0, and return the sum.

        Raises NotAnInteger for anything else.
        """
        if isinstance(by, bool) or not isinstance(by, int) or not LEAST <= by <= MOST:
            msg = f"incr of variable {name!r} by {by!r}: that is no whole number of 64 bits"
            raise InvalidOption(msg)
        return self._touch("incr", name, (b"%d" % by,), int)

    def compare_and_set(self, name: str, expected: Any, value: Any) -> asyncio.Future[bool]:
        """
        Write *value* if the variable is equal to *expected*; return whether it was.

        None means that there is no value. Stored values are compared: 1 is not 1.0, and the order
        of a dict counts.
        """
        what, limit = f"variable {name!r}", self._host.runtime.limit
        first, *older = forms_of_var(expected, what=what, limit=limit)
        args = (first, self._packed(name, value), *older)
        return self._touch("swap", name, args, lambda data: data == b"1")

    def typed(self, type: type[T], *, name: str | None = None) -> TypedVariable[T]:  # noqa: A002  as of `get`
        """
        Give a view of one variable as an object of *type*, such as a model or a dataclass.

        `cart = ctx.vars.typed(Cart)`. The variable is called *name*, by default as the type.
        """
        return TypedVariable(self, type, name or type.__name__)

    def _packed(self, name: str, value: Any) -> bytes:
        return write_var(value, what=f"variable {name!r}", limit=self._host.runtime.limit)

    def _touch(
        self,
        verb: str,
        name: str,
        args: Sequence[bytes],
        reader: Reader,
        read: Callable[[Any], Any] | None = None,
    ) -> asyncio.Future[Any]:
        host = self._host
        place = host.next_place()
        command = VariableCommand(
            place, host.create_future(), self._session, verb, check_variable("variable", name),
            args, reader,
        )  # fmt: skip
        command.read = read
        return host.start(command)


class TypedVariable(Generic[T]):
    """
    One variable of a run or a session as an object of a type: `ctx.vars.typed(Cart)`.

    What is read and what is written is validated. Await each call, as of `Variables`.
    """

    def __init__(self, variables: Variables, type: type[T], name: str) -> None:  # noqa: A002  as of `Variables.get`
        self.name = check_variable("variable", name)
        self._variables = variables
        self._type = type
        self._kind = kind_of(type)
        self._convert = reader_for("a variable", type)

    @overload
    def get(self, default: None = None) -> asyncio.Future[T | None]: ...
    @overload
    def get(self, default: T) -> asyncio.Future[T]: ...
    def get(self, default: Any = None) -> asyncio.Future[Any]:
        """
        Return the object, or *default* when there is none.

        Raises UnreadableValue where something else was written.
        """
        return self._variables.get(self.name, default, type=self._type)

    def set(self, value: T | None) -> asyncio.Future[None]:
        """
        Write the object; None removes it.

        Raises InvalidOption for one that would not be valid when it is read back, and
        UnsupportedValue for one with more in it than the type says.
        """
        return self._variables.set(self.name, self._checked(value))

    def compare_and_set(self, expected: T | None, value: T | None) -> asyncio.Future[bool]:
        """
        Write *value* if the variable is equal to *expected*; return whether it was.

        So two runs of a session change an object, and neither loses what the other wrote.
        """
        return self._variables.compare_and_set(self.name, expected, self._checked(value))

    def _checked(self, value: T | None) -> T | None:
        if value is None:
            return None
        what = f"variable {self.name!r}"
        check_lossless(self._kind, value, what)
        try:
            self._convert(unpack(pack(value, what=what, in_clear=True)))
        except PayloadMismatch as misfit:
            raise InvalidOption(f"{what} would not be valid: {misfit.problem}") from misfit
        return value


class Session:
    """What all runs of a session share: `ctx.session(user).vars`."""

    def __init__(self, host: WorkflowHost, session_id: str, readers: Readers | None = None) -> None:
        self.id = check_variable("session", session_id)
        self.vars = Variables(host, session_id, readers)


def _found(value: Any, default: Any) -> Any:
    return default if value is None else value


def check_variable(kind: str, name: str) -> str:
    """Return the name of a variable or session if it can be one; raises InvalidOption."""
    try:
        return check_text("the name", name, without="|")
    except InvalidOption:
        msg = (
            f"{shown(name)} cannot name a {kind}: "
            "use 1 to 200 characters without '|', valid Unicode"
        )
        raise InvalidOption(msg) from None
