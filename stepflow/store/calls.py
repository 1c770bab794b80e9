"""Calls as values: what to ask of Redis and how to read the answer; a link carries them out."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from stepflow.store.scripts import Script

T = TypeVar("T")

#: what a part of a command may be
Part = str | bytes | int | float


class Call(Generic[T]):
    """
    One command, or one script with its keys and arguments.

    *read* turns the raw reply into what the caller wants. *resend* says that a second arrival does
    no harm: after a lost connection the link sends such a call again; one that must not arrive
    twice ends in ReplyLost. *misfit*, where given, says what the call gives when a key holds
    another type of value than is asked for: without it that is an error.
    """

    __slots__ = ("args", "keys", "misfit", "read", "resend", "script")

    def __init__(
        self,
        script: Script | None,
        keys: Sequence[str],
        args: Sequence[Part],
        read: Callable[[Any], T],
        *,
        resend: bool = True,
        misfit: Callable[[], T] | None = None,
    ) -> None:
        self.script = script
        self.keys = keys
        self.args = args
        self.read = read
        self.resend = resend
        self.misfit = misfit

    def has_misfit(self, problem: str) -> bool:
        """
        Say whether the call knows what to give for *problem*, an error of Redis's.

        It does when a key holds another type and there is a *misfit*.
        """
        return self.misfit is not None and "WRONGTYPE" in problem

    @property
    def name(self) -> str:
        """What the call is called in errors and logs."""
        return self.script.name if self.script is not None else str(self.args[0])

    def command(self) -> tuple[Part, ...]:
        """Give the command as it goes over the wire."""
        if self.script is None:
            return tuple(self.args)
        return ("EVALSHA", self.script.sha, len(self.keys), *self.keys, *self.args)


def command(
    *args: Part,
    read: Callable[[Any], T],
    resend: bool = True,
    misfit: Callable[[], T] | None = None,
) -> Call[T]:
    """Make a call of a plain command that is safe to repeat, unless *resend* says otherwise."""
    return Call(None, (), args, read, resend=resend, misfit=misfit)


#: the fields of a key that holds no hash: no reader finds one of its own in it
NO_HASH: dict[bytes, bytes] = {b"": b"no hash"}


def load_hash(key: str) -> Call[dict[bytes, bytes]]:
    """Read a hash: empty when it is not there, NO_HASH when the key holds something else."""
    return command("HGETALL", key, read=flat_map, misfit=lambda: NO_HASH)


def raw(reply: Any) -> Any:
    """Give the reply as it came."""
    return reply


def nothing(reply: Any) -> None:
    """Drop the reply."""
    del reply


def flat_map(reply: Any) -> dict[bytes, bytes]:
    """
    Read HGETALL's flat list, as RESP2 gives it, or the dict that redis-py makes of it.

    Nil is a key that holds no hash.
    """
    if reply is None:
        return NO_HASH
    if isinstance(reply, dict):
        return reply
    items = iter(reply)
    return dict(zip(items, items, strict=True))


#: a piece of work without a colour: yields calls, or lists of calls for one round trip, is sent the
#: answers, returns T
Plan = Generator["Call[Any] | list[Call[Any]]", Any, T]


def together(plans: Sequence[Plan[T]]) -> Plan[list[T]]:
    """
    Carry out plans side by side, each round trip serving all of them.

    Gives their results in order.
    """
    results: dict[int, T] = {}
    answers: dict[int, Any] = {}
    while len(results) < len(plans):
        asked: dict[int, list[Call[Any]] | Call[Any]] = {}
        for number, plan in enumerate(plans):
            if number in results:
                continue
            try:
                asked[number] = plan.send(answers.get(number))
            except StopIteration as end:
                results[number] = end.value
        if asked:
            replies = iter(
                (
                    yield [
                        call
                        for want in asked.values()
                        for call in (want if isinstance(want, list) else [want])
                    ]
                )
            )
            answers = {
                number: [next(replies) for _ in want] if isinstance(want, list) else next(replies)
                for number, want in asked.items()
            }
    return [results[number] for number in range(len(plans))]
