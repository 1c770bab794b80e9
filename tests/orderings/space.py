"""
Every order in which some actors can make their calls: each state that can be reached is reached,
and looked at.

An actor is a function that is given a clock and makes a plan. The plans take turns, one call at a
time. Two orders that lead to the same database, with the same answers given to each actor, go on
alike, so that state is visited once.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from stepflow.errors import StepflowError
from stepflow.store.calls import Call, Plan, raw
from stepflow.store.clock import ManualClock
from tests.orderings.invariants import Seen, check, compare
from tests.orderings.world import Content, World, content, restore

Actor = Callable[[ManualClock], Plan[Any]]


@dataclass(frozen=True)
class Passes:
    """What an actor awaits to let so many seconds go by."""

    seconds: float

    def __await__(self) -> Generator[Passes, None, None]:
        yield self


@dataclass(frozen=True)
class Place:
    """
    What a database holds at a time, and the runs in it; there is one object for what is equal.
    """

    there: Content
    now: float
    seen: Mapping[str, Seen]


@dataclass(frozen=True)
class State:
    """
    A place, what each actor has been answered so far (when, and what), and what those gave that are
    done.
    """

    place: Place
    heard: Mapping[str, tuple[tuple[float, Any], ...]]
    results: Mapping[str, Any]

    @property
    def key(self) -> Any:
        return id(self.place), repr(sorted(self.heard.items())), repr(sorted(self.results.items()))


def _ordered(value: Any) -> Any:
    if isinstance(value, dict):
        return sorted(value.items())
    return sorted(value) if isinstance(value, set) else value


@dataclass(frozen=True)
class End:
    """
    What each actor gave, how the runs stood when all were done, and how they ended when they were
    seen through.
    """

    results: Mapping[str, Any]
    seen: Mapping[str, Seen]
    at_last: Mapping[str, Seen]


@dataclass
class Explored:
    """What there was to see: how many orders, how many states, and how it can end."""

    orders: int = 0
    states: int = 0
    ends: list[End] = field(default_factory=list)


class Space:
    """All orders of some actors, from what the world holds now."""

    def __init__(self, world: World, actors: Mapping[str, Actor]) -> None:
        self.world = world
        self.actors = actors
        self._places: dict[str, Place] = {}
        #: a call made at a place leads to the same place, with the same reply, whoever makes it
        self._led: dict[Any, tuple[Place, Any]] = {}
        self._is_at: Place | None = None

    def explore(self, *, begun: Sequence[str] = ()) -> Explored:
        """
        Go every way, once the actors named in *begun* have made one call for each time they are
        named.

        Invariants are checked in each state and from each to the next. From each state, too, every
        run can still be brought to its end by somebody else, all actors being dead.
        """
        found, ends = Explored(), list[State]()
        start = State(self._place(), dict.fromkeys(self.actors, ()), {})
        for name in begun:
            start = self._step(start, name)
        layer: dict[Any, tuple[State, int]] = {start.key: (start, 1)}
        while layer:
            following: dict[Any, tuple[State, int]] = {}
            found.states += len(layer)
            for state, ways in layer.values():
                if len(state.results) == len(self.actors):
                    ends.append(state)
                    found.orders += ways
                for name in self.actors.keys() - state.results.keys():
                    after = self._step(state, name)
                    following[after.key] = (after, ways + following.get(after.key, (after, 0))[1])
            layer = following
        at_last = {id(place): self._see_through(place) for place in list(self._places.values())}
        found.ends = [End(end.results, end.place.seen, at_last[id(end.place)]) for end in ends]
        return found

    def _see_through(self, place: Place) -> Mapping[str, Seen]:
        """
        See that nobody is needed: whoever is at work may die here. Gives the ends that the runs
        come to then.
        """
        self._enter(place)
        self._is_at, last = None, place.seen

        def look() -> Mapping[str, Seen]:
            nonlocal last
            seen = check(content(self.world.client))
            compare(last, seen)
            last = seen
            return seen

        self.world.see_through(look)
        return look()

    def _step(self, state: State, name: str) -> State:
        """
        Let one actor make its next call. Plans cannot be copied: its own is begun anew and told
        what it was told.
        """
        heard = state.heard[name]
        clock = ManualClock(heard[0][0] if heard else state.place.now)
        plan = self.actors[name](clock)
        try:
            asked = plan.send(None)
            for now, reply in heard:
                asked = _tell(plan, clock, now, asked, reply)
            place, reply = self._carry_out(state.place, asked)
            told = {**state.heard, name: (*heard, (place.now, reply))}
            try:
                _tell(plan, clock, place.now, asked, reply)
            except StopIteration as end:
                return State(place, {**told, name: ()}, {**state.results, name: end.value})
            except StepflowError as error:
                return State(place, {**told, name: ()}, {**state.results, name: type(error)})
            return State(place, told, state.results)
        finally:
            plan.close()

    def _carry_out(self, place: Place, asked: Any) -> tuple[Place, Any]:
        passes = isinstance(asked, Passes)
        key = (id(place), repr(asked if passes else [call.parts for call in asked]))
        if key not in self._led:
            self._enter(place)
            reply = None
            if isinstance(asked, Passes):
                self.world.clock.advance(asked.seconds)
            else:
                reply = self.world.connection.calls([Call(c.script, c.parts, raw) for c in asked])
            self._led[key] = (self._place(), reply)
            compare(place.seen, self._led[key][0].seen)
        return self._led[key]

    def _place(self) -> Place:
        """Give the place the world is at."""
        there, now = content(self.world.client), self.world.clock.now()
        key = repr(
            (
                now,
                sorted(
                    (key, _ordered(value), shortly) for key, (_, value, shortly) in there.items()
                ),
            )
        )
        if key not in self._places:
            self._places[key] = Place(there, now, check(there))
        self._is_at = self._places[key]
        return self._is_at

    def _enter(self, place: Place) -> None:
        if self._is_at is not place:
            restore(self.world.client, place.there)
            self.world.clock.advance(place.now - self.world.clock.now())
            self._is_at = place


def _tell(plan: Plan[Any], clock: ManualClock, now: float, asked: Any, reply: Any) -> Any:
    """Send a plan the answer to what it asked, at that time; gives what it asks next."""
    clock.advance(now - clock.now())
    if isinstance(asked, Passes):
        return plan.send(None)
    return plan.send([call.read(each) for call, each in zip(asked, reply, strict=True)])
