"""What was unpacked becomes what the function asks for, or the field that does not fit is named."""

from __future__ import annotations

import enum
import functools
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Any, NamedTuple, TypeVar, Unpack
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, RootModel, field_validator
from typing_extensions import TypedDict

from stepflow.core.outcomes import Outcome, Succeed
from stepflow.core.runner import Step, StepRunner
from stepflow.engine.user_code.arguments import (
    bind,
    call_reader,
    payload_type,
    read_call,
    reader_for,
    result_reader,
)
from stepflow.errors import InvalidOption, PayloadMismatch, UnreadableValue, UsageError
from stepflow.store.values.codec import pack, unpack

T = TypeVar("T")


class Colour(enum.Enum):
    RED = "red"


@dataclass(frozen=True)
class Item:
    name: str
    tags: frozenset[str] = frozenset()
    length: int = field(init=False, default=0)


@dataclass
class Point:
    x: int
    path: tuple[int, ...]


class Size(NamedTuple):
    width: int
    height: int


class Order(BaseModel):
    number: int
    at: datetime
    items: list[Item] = []
    colour: Colour = Colour.RED
    price: Decimal = Decimal(0)
    size: Size = Size(1, 1)


class Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")
    kind: Colour
    point: Point
    total: int = Field(alias="TOTAL")


ORDER = Order(
    number=2**70,
    at=datetime(2026, 11, 1, tzinfo=UTC),
    items=[Item("a", frozenset("xy"))],
    price=Decimal("1.5"),
)


async def asks_for_order(step: Step[Order]): ...
def asks_plainly(step: Step[dict[str, int]]): ...
def asks_for_nothing(step): ...
def asks_for_any(step: Step): ...
def asks_for_explicit_any(step: Step[Any]): ...
def asks_for_a_variable(step: Step[T]): ...
def asks_for_what_is_not_there(step: Step[NotThere]): ...  # noqa: F821
def returns_what_is_not_there(step: Step[Order]) -> NotThere: ...  # noqa: F821
def asks_with_a_note(step: Annotated[Step[Annotated[int, "positive"]], "note"]): ...
def asks_for_none(step: Step[None]): ...
def asks_for_either(step: Step[Order | Item]): ...
def breaks_when_read(step: Step[1 / 0]): ...  # type: ignore[valid-type]


class Method(StepRunner):
    async def run_step(self, step: Step[Order]) -> Outcome:
        return Succeed(step.payload)


class Callable_:  # noqa: N801
    def __call__(self, step: Step[Order]): ...


def wrapped(fn):
    @functools.wraps(fn)
    def inner(*args, **kwargs):
        return fn(*args, **kwargs)

    return inner


@pytest.mark.parametrize(
    ("fn", "wanted"),
    [
        (asks_for_order, Order),
        (asks_plainly, dict[str, int]),
        (asks_with_a_note, Annotated[int, "positive"]),
        (asks_for_none, type(None)),
        (asks_for_either, Order | Item),
        (returns_what_is_not_there, Order),
        (Method().run_step, Order),
        (Method.run_step, Order),
        (Method(), Order),
        (Callable_(), Order),
        (functools.partial(asks_for_order), Order),
        (wrapped(asks_for_order), Order),
    ],
)
def test_the_type_in_step_of_x_is_found(fn, wanted):
    assert payload_type(fn) == wanted


@pytest.mark.parametrize(
    "fn",
    [
        asks_for_nothing, asks_for_any, asks_for_explicit_any, asks_for_a_variable,
        asks_for_what_is_not_there, breaks_when_read, lambda step: step, print, len,
    ],
)  # fmt: skip
def test_no_type_is_found_where_none_is_said(fn):
    assert payload_type(fn) is None


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (ORDER, Order),
        ([ORDER, ORDER], list[Order]),
        ({UUID(int=1): Item("a")}, dict[UUID, Item]),
        (Item("a", frozenset("bc")), Item),
        (Strict(kind=Colour.RED, point=Point(1, (2,)), TOTAL=3), Strict),
        (RootModel[set[int]]({1, 2}), RootModel[set[int]]),
        (Size(3, 4), Size),
        (Colour.RED, Colour),
        ({1: Colour.RED}, dict[int, Colour]),
        ((1, "a", ORDER), tuple[int, str, Order]),
        (Item("a"), Order | Item),
        (None, type(None)),
    ],
)
def test_what_was_packed_comes_back_as_the_type_asked_for(value, wanted):
    assert reader_for("etl", wanted)(unpack(pack(value))) == value


@given(
    st.builds(
        Order,
        number=st.integers(),
        at=st.datetimes(),
        price=st.decimals(allow_nan=False, allow_infinity=False),
    )
)
def test_any_order_comes_back_as_it_was(order):
    assert reader_for("etl", Order)(unpack(pack(order))) == order


def test_what_json_can_say_fits_too():
    payload = {
        "number": 1,
        "at": "2026-11-01T00:00:00Z",
        "items": [{"name": "a", "tags": ["x"]}],
        "size": [2, 3],
    }
    order = reader_for("etl", Order)(payload)
    assert (order.at, order.items, order.size) == (
        ORDER.at,
        [Item("a", frozenset("x"))],
        Size(2, 3),
    )


def test_aliases_fit_as_well_as_names():
    read = reader_for("etl", Strict)
    base = {"kind": "red", "point": {"x": 1, "path": (2,)}}
    assert read(base | {"TOTAL": 1}) == read(base | {"total": 1})


def test_without_a_type_the_payload_comes_as_it_is():
    payload = {"n": object()}
    assert reader_for("etl", None)(payload) is payload


@pytest.mark.parametrize(
    ("payload", "problem"),
    [
        (
            {"number": "x", "at": "2026-11-01"},
            r"does not have the type that runner 'etl' declares: number: Input should be",
        ),
        ({"number": 1}, "at: Field required"),
        (
            {"number": 1, "at": 0, "items": [{"name": "a"}, {"nam": "b"}]},
            r"items\.1\.name: Field required",
        ),
        ([], r"runner 'etl' declares: Input should be a valid dictionary"),
        ({}, "number: Field required; at: Field required$"),
    ],
)
def test_a_payload_that_does_not_fit_is_refused_naming_the_field(payload, problem):
    with pytest.raises(PayloadMismatch, match=problem):
        reader_for("etl", Order)(payload)


def test_a_long_list_of_misfits_is_cut():
    with pytest.raises(PayloadMismatch, match=r"4: .*; and 95 more$"):
        reader_for("etl", list[int])(["x"] * 100)


def test_a_misfit_does_not_show_the_value():
    with pytest.raises(PayloadMismatch) as caught:
        reader_for("etl", Order)({"number": "hunter2", "at": "hunter2"})
    assert "hunter2" not in str(caught.value)


def test_a_users_validator_speaks_in_the_message():
    class Even(BaseModel):
        n: int

        @field_validator("n")
        @classmethod
        def _even(cls, n: int) -> int:
            if n % 2:
                raise ValueError("must be even")
            return n

    with pytest.raises(PayloadMismatch, match="n: Value error, must be even"):
        reader_for("etl", Even)({"n": 1})


@pytest.mark.parametrize("wanted", [object(), type("Opaque", (), {}), list["NotThere"]])  # type: ignore[name-defined]  # noqa: F821
def test_a_type_that_cannot_be_validated_is_refused_with_its_runner(wanted):
    with pytest.raises(InvalidOption, match=r"payload type of runner 'etl'.*cannot be validated"):
        reader_for("etl", wanted)({})


def test_a_model_that_is_completed_later_is_read_once_it_is():
    class Tree(BaseModel):
        leaf: Leaf

    read = reader_for("etl", Tree)
    with pytest.raises(InvalidOption, match="not fully defined"):
        read({"leaf": {"n": 1}})

    class Leaf(BaseModel):
        n: int

    Tree.model_rebuild()
    assert reader_for("etl", Tree)({"leaf": {"n": 1}}).leaf.n == 1


class Options(TypedDict):
    fast: bool


def resize(path: str, px: int = 80, *, colour: Colour = Colour.RED) -> Size:
    return Size(px, px)


def gather(first: int, /, *more: Decimal, when: date | None = None, **named: UUID): ...
def only_args(*args): ...
def only_kwargs(**kwargs): ...
def collides(a, /, **kwargs): ...
def half_known(known: int, unknown: NotThere): ...  # type: ignore[name-defined]  # noqa: F821
def with_options(**options: Unpack[Options]): ...  # type: ignore[misc]


def test_a_call_is_bound_by_names_however_it_was_written():
    payload = {"path": "a.png", "px": 80}
    assert bind(resize, ("a.png", 80), {}) == payload
    assert bind(resize, ("a.png",), {"px": 80}) == payload
    assert bind(resize, (), {"px": 80, "path": "a.png"}) == payload


def test_defaults_are_left_to_the_worker():
    assert bind(resize, ("a.png",), {}) == {"path": "a.png"}
    assert read_call(resize, {"path": "a.png"}) == (("a.png", 80), {"colour": Colour.RED})


@pytest.mark.parametrize(
    ("args", "kwargs", "problem"),
    [
        (
            (),
            {},
            (
                r"resize\(path: 'str', px: 'int' = 80, .*\) cannot be called with these arguments: "
                r"missing a required"
            ),
        ),
        (("a", 1, 2), {}, "too many positional"),
        (("a",), {"size": 1}, "unexpected keyword argument 'size'"),
        (("a",), {"path": "b"}, "multiple values for argument 'path'"),
    ],
)
def test_a_call_that_does_not_fit_is_refused_with_the_function_name(args, kwargs, problem):
    with pytest.raises(InvalidOption, match=problem) as caught:
        bind(resize, args, kwargs)
    assert isinstance(caught.value, UsageError)


@pytest.mark.parametrize(
    ("fn", "args", "kwargs"),
    [
        (resize, ("a.png", 3), {"colour": Colour.RED}),
        (gather, (1, Decimal("2.5"), Decimal(3)), {"when": date(2026, 1, 1), "other": UUID(int=1)}),
        (gather, (1,), {"when": None}),
        (only_args, (1, "a"), {}),
        (only_args, (), {}),
        (only_kwargs, (), {"args": 1, "kwargs": 2}),
        (collides, (1,), {"a": 2}),
        (half_known, (1, {"any": "thing"}), {}),
        (with_options, (), {"fast": True}),
    ],
)
def test_a_call_comes_back_as_it_was_made(fn, args, kwargs):
    assert read_call(fn, unpack(pack(bind(fn, args, kwargs)))) == (args, kwargs)


def test_arguments_are_validated_by_their_annotations():
    assert call_reader(resize)({"path": "a", "px": "3", "colour": "red"}) == (
        ("a", 3),
        {"colour": Colour.RED},
    )


def gives_nothing() -> None: ...


@pytest.mark.parametrize(
    ("fn", "payload", "problem"),
    [
        (
            resize,
            {"path": "a", "px": "many"},
            "the type that runner 'resize' declares: px: Input should be a valid integer",
        ),
        (resize, {"px": 1}, "path: it is missing"),
        (resize, {"path": "a", "pix": 1}, "pix: there is no such parameter"),
        (
            resize,
            ["a"],
            r'a list, not a map of arguments such as \{"path": ..., "px": ..., "colour',
        ),
        (gives_nothing, 7, "it is a int, not a map of arguments$"),
        (resize, None, "path: it is missing$"),
        (gather, {"first": 1, "more": [1, "x"]}, r"more\.1: "),
        (gather, {"first": 1, "named": {"k": "x"}}, r"named\.k: "),
    ],
)
def test_a_payload_that_does_not_fit_the_parameters_is_refused(fn, payload, problem):
    with pytest.raises(PayloadMismatch, match=problem):
        read_call(fn, payload)


def test_without_a_payload_a_function_gets_no_arguments():
    """As `client.submit("clean")` and a schedule without a payload submit it."""
    assert read_call(gives_nothing, None) == ((), {})


def test_all_misfits_are_named_at_once_in_the_order_of_the_parameters():
    with pytest.raises(PayloadMismatch, match=r"path: Input.*; px: Input.*; colour: Input"):
        read_call(resize, {"colour": "blue", "px": "x", "path": 1})


def test_a_reader_can_be_given_another_name():
    with pytest.raises(PayloadMismatch, match=r"runner 'images\.resize'"):
        call_reader(resize, "images.resize")([])


def test_a_parameter_that_cannot_be_validated_is_refused_when_the_reader_is_made():
    class Opaque: ...

    def takes(it): ...

    takes.__annotations__ = {"it": Opaque}
    with pytest.raises(InvalidOption, match="parameter 'it' of 'takes'"):
        call_reader(takes)


def gives_outcome() -> Succeed: ...
def gives_either() -> Size | Outcome: ...
def gives_none() -> None: ...
def gives_anything(): ...
def gives_many() -> Sequence[Order]: ...
async def gives_size() -> Size: ...


@pytest.mark.parametrize(
    ("fn", "result"),
    [(resize, Size(1, 2)), (gives_size, Size(1, 2)), (gives_none, None), (gives_many, [ORDER])],
)
def test_a_result_comes_back_as_the_return_annotation_says(fn, result):
    again = result_reader(fn)(unpack(pack(result)))
    assert (again, type(again)) == (result, type(result))


@pytest.mark.parametrize("fn", [gives_outcome, gives_either, gives_anything, half_known])
def test_without_a_return_type_of_its_own_a_result_comes_as_it_is(fn):
    result = {"any": object()}
    assert result_reader(fn)(result) is result


def test_a_result_that_does_not_fit_is_refused_naming_the_field():
    with pytest.raises(
        UnreadableValue,
        match=r"the result of 'resize' does not fit its return annotation: 1: Input",
    ):
        result_reader(resize)((1, "x"))
