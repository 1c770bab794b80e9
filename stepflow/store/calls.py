"""
Calls and plans: what to ask of Redis and how to read the answer, as values.

A connection carries them out (`connection/sync.py`, `async_.py`, `fake.py`), so that the engine is
written once for blocking and for async callers.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator, Sequence
from itertools import islice
from typing import Any, Generic, Protocol, TypeVar, overload

T = TypeVar("T")
A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
D = TypeVar("D")
E = TypeVar("E")

#: what a part of a command may be
Part = str | bytes | int | float


class CalledScript(Protocol):
    """What a call knows of its script; see `scripts.Script`."""

    @property
    def name(self) -> str:
        """The name that errors and logs use."""

    @property
    def sha(self) -> str:
        """The digest by which the server knows the script."""

    @property
    def text(self) -> str:
        """What the server is sent once."""


#: parts of an EVALSHA before its keys
_BEFORE_KEYS = 3


class Call(Generic[T]):
    """
    One command, or one script with its keys and arguments; *parts* is what is sent.

    *read* turns the raw reply into what the caller wants, and awaiting the call in a plan gives
    that. *resend* says that a second arrival does no harm: after a lost connection such a call is
    sent again; one that must not arrive twice ends in ReplyLost. *misfit*, where there is one,
    makes the answer when a key holds another type of value than the command expects: without it
    that is an error.
    """

    __slots__ = ("misfit", "parts", "read", "resend", "script")

    def __init__(
        self,
        script: CalledScript | None,
        parts: tuple[Part, ...],
        read: Callable[[Any], T],
        resend: bool = True,  # noqa: FBT001, FBT002  names would cost each call of a script
        misfit: Callable[[], T] | None = None,
    ) -> None:
        self.script = script
        self.parts = parts
        self.read = read
        self.resend = resend
        self.misfit = misfit

    def __await__(self) -> Generator[list[Call[T]], list[T], T]:
        answers = yield [self]
        return answers[0]

    def has_misfit(self, problem: str) -> bool:
        """Whether *misfit* answers *problem*, an error of Redis's."""
        return self.misfit is not None and "WRONGTYPE" in problem

    @property
    def name(self) -> str:
        """What the call is called in errors and logs."""
        return self.script.name if self.script is not None else str(self.parts[0])

    @property
    def key(self) -> str:
        """The key of a command that has one; empty for a script."""
        if self.script is not None or len(self.parts) < 2:  # noqa: PLR2004  its name and the key
            return ""
        key = self.parts[1]
        return key.decode("utf-8", "backslashreplace") if isinstance(key, bytes) else str(key)

    @property
    def keys(self) -> tuple[Part, ...]:
        """The keys of a script: EVALSHA, digest and their number stand before them."""
        return self.parts[_BEFORE_KEYS:][: int(self.parts[_BEFORE_KEYS - 1])] if self.script else ()

    @property
    def args(self) -> tuple[Part, ...]:
        """The arguments of a script; of a command all of it, with its name."""
        return self.parts[_BEFORE_KEYS + len(self.keys) :] if self.script else self.parts


class OptionalCall(Call[T]):
    """A call that a server may not know, or a user may not give: *misfit* answers then."""

    __slots__ = ()

    def has_misfit(self, problem: str) -> bool:
        """Whether the server does not know the command, or the user may not give it."""
        return any(word in problem for word in ("unknown command", "NOPERM", "WRONGTYPE"))


class LateCall(Call[T]):
    """
    A call that *make* makes when it is sent.

    Of many that share a round trip the server carries out the first while the rest are made.
    """

    __slots__ = ("_make",)

    def __init__(self, make: Callable[[], Call[T]]) -> None:
        self._make = make

    def __getattr__(self, name: str) -> Any:
        """Make the call: something of it is wanted for the first time."""
        made = self._make()
        super().__init__(made.script, made.parts, made.read, made.resend, made.misfit)
        return getattr(made, name)


def command(
    *args: Part,
    read: Callable[[Any], T],
    resend: bool = True,
    misfit: Callable[[], T] | None = None,
) -> Call[T]:
    """Make the call of a plain command; *resend* as for `Call`."""
    return Call(None, args, read, resend=resend, misfit=misfit)


#: stands for a key that is no hash: no reader finds a field of its own in it
NO_HASH: dict[bytes, bytes] = {b"": b"no hash"}


def load_hash(key: str) -> Call[dict[bytes, bytes]]:
    """Read a hash: empty when it does not exist, NO_HASH when the key is something else."""
    return command("HGETALL", key, read=flat_map, misfit=lambda: NO_HASH)


def raw(reply: Any) -> Any:
    """Return the reply as it is."""
    return reply


def nothing(reply: Any) -> None:
    """Ignore the reply."""
    del reply


def flat_map(reply: Any) -> dict[bytes, bytes]:
    """
    Read HGETALL's flat list, as RESP2 gives it, or the dict that redis-py makes of it.

    Nil stands for a key that is no hash.
    """
    if reply is None:
        return NO_HASH
    if isinstance(reply, dict):
        return reply
    items = iter(reply)
    return dict(zip(items, items, strict=True))


#: a piece of work that any connection carries out: it awaits calls, batches of them and other
#: plans, and nothing else. Each step yields the calls of one round trip and is sent their answers.
Plan = Coroutine[list[Call[Any]], list[Any] | None, T]


class _Batch(Generic[T]):
    """Some calls that share a round trip; awaiting it gives their answers, in order."""

    __slots__ = ("_calls",)

    def __init__(self, calls: list[Call[T]]) -> None:
        self._calls = calls

    def __await__(self) -> Generator[list[Call[T]], list[T], list[T]]:
        return (yield self._calls)


async def batch_of(calls: Sequence[Call[T]]) -> list[T]:
    """Await any number of calls in one round trip, none when there are no calls."""
    return await _Batch(list(calls)) if calls else []


@overload
async def batch(a: Call[A], b: Call[B], /) -> tuple[A, B]: ...
@overload
async def batch(a: Call[A], b: Call[B], c: Call[C], /) -> tuple[A, B, C]: ...
@overload
async def batch(a: Call[A], b: Call[B], c: Call[C], d: Call[D], /) -> tuple[A, B, C, D]: ...
@overload
async def batch(
    a: Call[A], b: Call[B], c: Call[C], d: Call[D], e: Call[E], /
) -> tuple[A, B, C, D, E]: ...
async def batch(*calls: Call[Any]) -> tuple[Any, ...]:
    """Await two to five calls in one round trip; the tuple has the type of each answer."""
    return tuple(await _Batch(list(calls)))


async def together(plans: Sequence[Plan[T]]) -> list[T]:
    """
    Carry out plans side by side, each round trip serving all of them.

    Gives their results in order. An error in one of them ends all.
    """
    results: dict[int, T] = {}
    wanted: dict[int, list[Call[Any]]] = {}

    def step(number: int, answers: list[Any] | None) -> None:
        try:
            wanted[number] = ensure_calls(plans[number].send(answers))
        except StopIteration as end:
            results[number] = end.value

    try:
        for number in range(len(plans)):
            step(number, None)
        while wanted:
            asking, wanted = wanted, {}
            answers = iter(await batch_of([call for calls in asking.values() for call in calls]))
            for number, calls in asking.items():
                step(number, list(islice(answers, len(calls))))
    finally:
        for plan in plans:
            plan.close()
    return [results[number] for number in range(len(plans))]


def ensure_calls(step: object) -> list[Call[Any]]:
    """
    Pass on what a plan yielded if it is calls.

    Raises TypeError for a plan that awaits anything else, such as a future of asyncio's.
    """
    if isinstance(step, list):
        return step
    raise TypeError(f"a plan awaits calls and plans only, not {step!r}")
