"""What a kind of step is; a kind of your own is a subclass of `Work`, or of `Flow`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Protocol

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from stepflow.errors import PermanentError, did_you_mean
from stepflow.kits.definition.checking.source import Way
from stepflow.kits.definition.model import StepSpec
from stepflow.kits.definition.values.templates import as_text, references_in

if TYPE_CHECKING:
    from stepflow.kits.definition.known import Known
    from stepflow.kits.flow.context import Context


#: a text; a number or a list that a reference has put in its place is written as JSON
Text = Annotated[str, BeforeValidator(as_text, Any)]


class KindInput(BaseModel):
    """The base of what kinds take; a field that one does not know is a mistake."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Kind(ABC):
    """
    One kind of step.

    *name* is what a definition calls it, *Input* the model of its `input`.
    """

    name: ClassVar[str]
    Input: ClassVar[type[BaseModel]] = KindInput
    #: the options that a step of it may have, besides depends_on and skip_if
    options: ClassVar[frozenset[str]] = frozenset({"compensate"})
    #: whether its texts may refer to the environment
    has_env: ClassVar[bool] = False
    #: fields of the input that it fills itself
    deferred: ClassVar[frozenset[str]] = frozenset()
    #: fields of the input that are expressions, wherever they stand in it
    expressions: ClassVar[frozenset[str]] = frozenset()

    def faults(self, given: Mapping[str, Any], known: Known) -> Iterator[tuple[Way, str]]:
        """Say what is wrong with an input besides its form, each with the way to it."""
        del given, known
        yield from ()


class Work(Kind):
    """
    A kind that is done in one durable step: tried again, limited, undone, on any worker.

    Whatever it is given has its references and the environment's values put in; what it returns or
    raises is kept without these values.
    """

    options = frozenset({"compensate", "retry", "timeout", "queue", "requires"})
    has_env = True

    @abstractmethod
    async def do(self, given: Any, known: Known) -> Any:
        """Do it; *given* is an `Input`. Raises PermanentError where no retry can help."""


class Flow(Kind):
    """A kind that is made of calls of `ctx`, such as a wait; its value is recorded at its end."""

    @abstractmethod
    async def carry(self, given: Any, at: At) -> Any:
        """Carry it out; *given* is an `Input`."""


class Driver(Protocol):
    """The run of a definition, as the kinds that need more of it see it."""

    known: Known

    @property
    def scope(self) -> Mapping[str, Any]:
        """What references find."""

    @property
    def skipped(self) -> set[str]:
        """The steps that were skipped."""


@dataclass(frozen=True, slots=True)
class At:
    """Where a step of a `Flow` is carried out."""

    ctx: Context
    step: StepSpec
    driver: Driver


def read_input(kind: Kind, value: Any) -> Any:
    """Read the input of a step whose references are filled in; raises PermanentError in words."""
    try:
        return kind.Input.model_validate(value)
    except ValidationError as error:
        said = "; ".join(
            ": ".join(filter(None, [".".join(map(str, each["loc"])), each["msg"]]))
            for each in error.errors(include_url=False, include_input=False, include_context=False)
        )
        msg = f"the input of kind {kind.name!r} does not fit: {said}"
    raise PermanentError(msg)


def unknown(what: str, name: str, known: Sequence[str], remedy: str) -> str:
    """Say that no *what* is called *name*: the nearest that is, or else the *remedy*."""
    return f"no {what} is called {name!r}{did_you_mean(name, known) or f'; {remedy}'}"


def registered(by: str) -> str:
    """Say where an app registers what definitions name: before it loads them."""
    return f"the app registers it {by}, above the app.definitions(...) that loads this"


def form_faults(model: type[BaseModel], value: Any) -> Iterator[tuple[Way, str]]:
    """Say what of *value* cannot fit *model*, whatever is put in for its references."""
    try:
        model.model_validate(value)
    except ValidationError as error:
        for each in error.errors(include_url=False, include_input=False, include_context=False):
            way = _known_way(value, each["loc"])
            if each["type"] == "missing" or not _is_open(value, way):
                yield way, _in_words(each, way)


def _in_words(error: Any, way: Way) -> str:
    if error["type"] == "extra_forbidden":
        return f"there is no such field as {way[-1]!r}"
    if error["type"] == "missing":
        return f"{error['loc'][-1]!r} is missing"
    return str(error["msg"]).removeprefix("Value error, ")


def _known_way(value: Any, loc: tuple[int | str, ...]) -> Way:
    """Give the part of pydantic's *loc* that is in *value*: it names types of a union as well."""
    way: list[str | int] = []
    for part in loc:
        inside = isinstance(value, dict) and part in value
        if inside or (isinstance(value, list) and isinstance(part, int) and part < len(value)):
            way.append(part)
            value = value[part]
    return tuple(way)


def _is_open(value: Any, way: Way) -> bool:
    """Whether what stands at *way* is a text with references, which may become anything."""
    for part in way:
        value = value[part]
    return isinstance(value, str) and any(True for _ in references_in(value))
