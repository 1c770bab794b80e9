"""Nothing of a model or dataclass is lost silently: `pack` refuses what a reader would drop."""

from __future__ import annotations

import threading
import uuid
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Generic, Literal, NamedTuple, NewType, Optional, TypeVar, Union

import pytest
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    Json,
    PlainSerializer,
    PrivateAttr,
    RootModel,
    SecretStr,
    SerializeAsAny,
    computed_field,
    field_serializer,
    model_serializer,
)
from pydantic.dataclasses import dataclass as pydantic_dataclass
from typing_extensions import TypeAliasType, TypedDict

from stepflow.errors import UnsupportedValue
from stepflow.store.values.annotations import kind_of
from stepflow.store.values.codec import pack, unpack

T = TypeVar("T")


class Base(BaseModel):
    a: int = 1


Bound = TypeVar("Bound", bound=Base)


class Sub(Base):
    b: int = 2


class Same(Base):
    """A subclass without fields of its own."""


class Other(BaseModel):
    z: int = 0


@dataclass
class Plain:
    a: int = 1


@dataclass
class PlainSub(Plain):
    b: int = 2


class TD(TypedDict, total=False):
    it: Base


class NT(NamedTuple):
    n: int
    it: Base


class Box(BaseModel, Generic[T]):
    it: T


class BoundBox(BaseModel, Generic[Bound]):
    it: Bound


@dataclass
class PlainBox(Generic[T]):
    it: T


Alias = TypeAliasType("Alias", list[Base])
New = NewType("New", Base)


def holding(annotation: Any, value: Any, *, plain: bool = False) -> Any:
    """Make a model or dataclass with one field, annotated so, that holds a value as it is."""
    namespace = {"__annotations__": {"it": annotation}, "__module__": __name__}
    if plain:
        return dataclass(type("Holder", (), namespace))(value)
    return type("Holder", (BaseModel,), namespace).model_construct(it=value)


LOST = {
    "field": (Base, Sub(), ".it"),
    "optional": (Optional[Base], Sub(), ".it"),  # noqa: UP045
    "list": (list[Base], [Base(), Sub()], ".it[1]"),
    "sequence": (Sequence[Base], [Sub()], ".it[0]"),
    "deep list": (list[list[Base]], [[Base()], [Base(), Sub()]], ".it[1][1]"),
    "dict": (dict[str, Base], {"x": Base(), "k": Sub()}, ".it.k"),
    "mapping": (Mapping[str, Base | None], {"k": Sub()}, ".it.k"),
    "tuple": (tuple[int, Base], (1, Sub()), ".it[1]"),
    "long tuple": (tuple[Base, ...], (Base(), Sub()), ".it[1]"),
    "union without it": (Base | Other, Sub(), ".it"),
    "old union without it": (Union[Base, Other, None], Sub(), ".it"),  # noqa: UP007
    "optional dict": (dict[str, Base] | None, {"k": Sub()}, ".it.k"),
    "plain list or list": (list[int] | list[Base], [Sub()], ".it[0]"),
    "list or one": (Base | list[Base], [Sub()], ".it[0]"),
    "annotated": (Annotated[Base, Field(description="x")], Sub(), ".it"),
    "typed dict": (TD, {"it": Sub()}, ".it.it"),
    "named tuple": (NT, NT(1, Sub()), ".it[1]"),
    "alias": (Alias, [Sub()], ".it[0]"),
    "new type": (New, Sub(), ".it"),
    "dataclass": (Plain, PlainSub(), ".it"),
    "list of dataclasses": (list[Plain], [PlainSub()], ".it[0]"),
    "generic": (Box[Base], Box[Base](it=Sub()), ".it.it"),
    "bound type variable": (Any, BoundBox(it=Sub()), ".it.it"),
    "root": (RootModel[list[Base]], RootModel[list[Base]]([Sub()]), ".it[0]"),
    "under any": (Any, {"deep": [Other(), holding(Base, Sub())]}, ".it.deep[1].it"),
    "under list": (list, [holding(Base, Sub())], ".it[0].it"),
}


@pytest.mark.parametrize("plain", [False, True], ids=["model", "dataclass"])
@pytest.mark.parametrize("what", LOST)
def test_a_subclass_with_more_fields_than_its_annotation_is_refused_with_path_class_and_fields(
    what, plain
):
    """[B15]"""
    annotation, value, path = LOST[what]
    with pytest.raises(
        UnsupportedValue, match=r"Sub, annotated as .*, which has no 'b': that would be lost"
    ) as caught:
        pack({"order": holding(annotation, value, plain=plain)})
    assert caught.value.path == "payload.order" + path


def test_the_arguments_of_a_generic_dataclass_count():
    """[B15]"""
    with pytest.raises(UnsupportedValue, match="'b'") as caught:
        pack(holding(PlainBox[Base], PlainBox(Sub()), plain=True))
    assert caught.value.path == "payload.it.it"
    assert unpack(pack(holding(PlainBox, PlainBox(Sub()), plain=True))) == {
        "it": {"it": {"a": 1, "b": 2}}
    }


FINE = {
    "exact": (Base, Base(), {"a": 1}),
    "no more fields": (Base, Same(), {"a": 1}),
    "any": (Any, Sub(), {"a": 1, "b": 2}),
    "union that has it": (Base | Sub, Sub(), {"a": 1, "b": 2}),
    "optional of it": (Sub | None, Sub(), {"a": 1, "b": 2}),
    "marked": (SerializeAsAny[Base], Sub(), {"a": 1, "b": 2}),
    "marked within": (list[SerializeAsAny[Base]], [Sub()], [{"a": 1, "b": 2}]),
    "marked around": (Annotated[list[Base], SerializeAsAny()], [Sub()], [{"a": 1, "b": 2}]),
    "written by the user": (Annotated[Base, PlainSerializer(lambda value: value.a)], Sub(), 1),
    "free generic": (Box, Box(it=Sub()), {"it": {"a": 1, "b": 2}}),
    "generic of it": (Box[Sub], Box[Sub](it=Sub()), {"it": {"a": 1, "b": 2}}),
    "dict of any": (dict[str, Any], {"k": Sub(), "n": 1}, {"k": {"a": 1, "b": 2}, "n": 1}),
    "bare list": (list, [Sub()], [{"a": 1, "b": 2}]),
    "none": (Base | None, None, None),
}


@pytest.mark.parametrize("what", FINE)
def test_what_the_annotation_admits_comes_back_whole(what):
    """[B15]"""
    annotation, value, wanted = FINE[what]
    assert unpack(pack(holding(annotation, value))) == {"it": wanted}


class Cat(BaseModel):
    kind: Literal["cat"] = "cat"
    lives: int = 9


class Dog(BaseModel):
    kind: Literal["dog"] = "dog"


class Pet(BaseModel):
    it: Annotated[Cat | Dog, Field(discriminator="kind")]


def test_a_discriminated_union_is_written_by_the_class_it_holds():
    """[B15]"""

    class Tiger(Cat):
        stripes: int = 5

    assert unpack(pack(Pet(it=Cat()))) == {"it": {"kind": "cat", "lives": 9}}
    with pytest.raises(UnsupportedValue, match="'stripes'"):
        pack(Pet(it=Tiger()))


def test_a_field_that_a_subclass_annotates_more_narrowly_is_lost_just_so():
    """[B15]"""

    class Outer(BaseModel):
        it: Base = Base()

    class Narrow(Outer):
        it: Sub = Sub()

    assert unpack(pack(Narrow())) == {"it": {"a": 1, "b": 2}}
    with pytest.raises(UnsupportedValue) as caught:
        pack(holding(Outer, Narrow()))
    assert caught.value.path == "payload.it.it"


def test_models_that_name_themselves_are_looked_through():
    """[B15]"""

    class Tree(BaseModel):
        children: list[Tree] = []

    class Leaf(Tree):
        colour: str = "red"

    Tree.model_rebuild(_types_namespace={"Tree": Tree})
    assert unpack(pack(Tree(children=[Tree(), Tree()]))) == {"children": [{"children": []}] * 2}
    with pytest.raises(UnsupportedValue, match="'colour'") as caught:
        pack(Tree(children=[Tree(), Tree(children=[Leaf()])]))
    assert caught.value.path == "payload.children[1].children[0]"


class Hidden(BaseModel):
    kept: int = 1
    secret: str = Field("", exclude=True)
    made: list[int] = Field(default_factory=list, exclude=True)


class Demanding(BaseModel):
    must: int = Field(exclude=True)


@pytest.mark.parametrize(
    ("value", "path"),
    [
        (Hidden(secret="s"), ".secret"),
        (Hidden(made=[1]), ".made"),
        (Demanding(must=1), ".must"),
        (holding(list[Hidden], [Hidden(), Hidden(secret="s")]), ".it[1].secret"),
        (holding(Any, {"k": Hidden(secret="s")}), ".it.k.secret"),
        (holding(Hidden, Hidden(secret="s"), plain=True), ".it.secret"),
    ],
)
def test_an_excluded_field_that_holds_something_is_refused_where_it_is_packed(value, path):
    """[B15] Was: it was dropped, and the run failed after its step had run."""
    with pytest.raises(
        UnsupportedValue, match="it is excluded from what is written, and would be lost"
    ) as caught:
        pack(value)
    assert caught.value.path == "payload" + path


def test_an_excluded_field_at_its_default_is_no_loss():
    """[B15]"""
    assert unpack(pack(Hidden())) == {"kept": 1}


def test_a_dataclass_of_pydantic_keeps_what_it_excludes():
    """[B15]"""

    @pydantic_dataclass
    class Kept:
        it: int = Field(1, exclude=True)

    assert unpack(pack(Kept(5))) == {"it": 5}


class Private(BaseModel):
    _note: str = PrivateAttr("")
    _lock: Any = PrivateAttr(default_factory=threading.Lock)
    _id: Any = PrivateAttr(default_factory=uuid.uuid4)
    _seen: list[int] = PrivateAttr(default_factory=list)


@pytest.mark.parametrize(("name", "held"), [("_note", "mine"), ("_seen", [1])])
def test_a_private_attribute_that_was_set_by_hand_is_refused(name, held):
    """[B15]"""
    value = Private()
    assert unpack(pack(value)) == {}
    setattr(value, name, held)
    with pytest.raises(UnsupportedValue, match="private attribute") as caught:
        pack(value)
    assert caught.value.path == f"payload.{name}"


def test_private_attributes_that_a_model_makes_itself_are_its_own_business():
    """[B15]"""

    class Working(BaseModel):
        n: int = 1
        _double: int = PrivateAttr(0)

        def model_post_init(self, context: Any) -> None:
            self._double = 2 * self.n

    assert unpack(pack(Working(n=4))) == {"n": 4}


def test_a_computed_field_is_not_written_and_an_alias_is_no_name():
    """[B15]"""

    class Square(BaseModel):
        side: int = Field(alias="edge", serialization_alias="length")

        @computed_field
        def area(self) -> int:
            return self.side**2

    assert unpack(pack(Square(edge=3))) == {"side": 3}


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")
    n: int = 1


class OpenSub(Base):
    model_config = ConfigDict(extra="allow")


def test_extra_fields_are_kept_where_they_are_allowed():
    """[B15]"""
    assert unpack(pack(Open(more=[1, Sub()]))) == {"n": 1, "more": [1, {"a": 1, "b": 2}]}
    assert unpack(pack(holding(Base, OpenSub()))) == {"it": {"a": 1}}
    with pytest.raises(UnsupportedValue, match="which has no 'x'"):
        pack(holding(Base, OpenSub(x=1)))
    with pytest.raises(UnsupportedValue) as caught:
        pack(Open(more=holding(Base, Sub())))
    assert caught.value.path == "payload.more.it"


@pytest.mark.parametrize(
    ("value", "path", "problem"),
    [
        (
            Base.model_construct(a="5"),
            ".a",
            "it is a str, where `int` is annotated: it would come back as something else",
        ),
        (Base.model_construct(a=1j), ".a", "a complex cannot be stored"),
        (
            holding(list[Base], [Base.model_construct(a="x")]),
            ".it",
            "it is a list, where `int` is annotated",
        ),
        (
            holding(Base, Base.model_construct(a="x")),
            ".it.a",
            "it is a str, where `int` is annotated",
        ),
        (holding(Base, Other()), ".it", "it is a Other, "),
        (
            holding(Plain, Other(), plain=True),
            ".it",
            "it is a Other, annotated as Plain, which has no 'z'",
        ),
        (holding(Base | Sub, Other()), ".it", "it is a Other, "),
        (holding(Base, {"a": 1}), ".it", "it is a dict, where `Base` is annotated"),
        (RootModel[int].model_construct("x"), "", "it is a str, where `int` is annotated"),
        (
            holding(Base, Base.model_construct(a="x"), plain=True),
            ".it.a",
            "it is a str, where `int` is annotated",
        ),
    ],
)
def test_what_is_not_of_its_annotation_is_refused(value, path, problem):
    """[B15] Was: pydantic's warning was switched off."""
    with pytest.raises(UnsupportedValue) as caught:
        pack(value)
    assert caught.value.path == "payload" + path
    assert problem in str(caught.value)


def test_a_model_that_was_not_given_all_its_fields_is_refused():
    """[B15]"""

    class Must(BaseModel):
        n: int

    with pytest.raises(UnsupportedValue, match="a Must with a field that was never set") as caught:
        pack(holding(list[Must], [Must.model_construct()]))
    assert caught.value.path == "payload.it[0].n"


def test_a_field_that_was_changed_into_nonsense_is_refused():
    """[B15]"""
    value = Base()
    value.a = [1]  # type: ignore[assignment]
    with pytest.raises(UnsupportedValue, match="it is a list"):
        pack(value)


def test_a_secret_is_refused_in_words():
    """[B15]"""
    with pytest.raises(UnsupportedValue, match="a SecretStr cannot be stored") as caught:
        pack(holding(SecretStr, SecretStr("s3cret")))
    assert caught.value.path == "payload.it"
    assert "s3cret" not in str(caught.value)


def test_what_a_user_serializes_is_the_users_own():
    """[B15]"""

    class Written(BaseModel):
        it: Base = Sub()
        hidden: SecretStr = SecretStr("s3cret")

        @field_serializer("it", "hidden")
        def _write(self, value: Any) -> str:
            return type(value).__name__

    class Whole(BaseModel):
        it: Base = Sub()

        @model_serializer
        def _write(self) -> dict[str, Any]:
            return {"b": self.it.b}

    assert unpack(pack(Written())) == {"it": "Sub", "hidden": "SecretStr"}
    assert unpack(pack(Whole())) == {"b": 2}


def test_json_fields_are_written_as_they_are_read():
    """[B15]"""

    class Carried(BaseModel):
        it: Json[list[int]]

    packed = pack(Carried(it="[1, 2]"))
    assert Carried(**unpack(packed)).it == [1, 2]


@pytest.mark.parametrize(
    "hint",
    [
        int,
        str,
        list[int],
        dict[str, list[int]],
        int | None,
        Literal["a"],
        tuple[int, ...],
        bytes,
        "Unknown",
        Annotated[int, 1],
    ],
)
def test_plain_annotations_are_never_looked_at(hint):
    """[B15]"""
    assert kind_of(hint).is_safe


def test_odd_annotations_say_nothing():
    """[B15]"""

    @dataclass
    class Odd:
        a: "no such" = None  # noqa: F722
        b: Nowhere = None  # noqa: F821
        c: deque[int] = field(default_factory=deque)

    with pytest.raises(UnsupportedValue, match="a deque cannot be stored"):
        pack(Odd(Sub()))
