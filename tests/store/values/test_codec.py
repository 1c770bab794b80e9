"""What pack accepts comes back; what would not is refused with its path."""

from __future__ import annotations

import contextlib
import enum
import subprocess
import sys
import threading
from collections import Counter, OrderedDict, defaultdict, namedtuple
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import msgpack
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import AnyUrl, BaseModel, Field, RootModel, field_serializer

from stepflow.errors import PayloadTooLarge, UnreadableValue, UnsupportedValue
from stepflow.store.values import codec
from stepflow.store.values.codec import MAX_DEPTH, pack, unpack
from stepflow.store.values.msgpack_ext import plain


@dataclass(frozen=True)
class Point:
    x: Any = 1
    y: Any = 2


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1
    HUGE = 2**80


class Mood(enum.StrEnum):
    GOOD = "good"


class Pair(NamedTuple):
    left: Any
    right: Any


class ClocksGoBack(tzinfo):
    """A zone in the night its clocks go back; it knows no offset without a date."""

    def __init__(self, summer: timedelta | None = timedelta(hours=2)) -> None:
        self.summer = summer

    def utcoffset(self, moment):
        return self.summer and moment and self.summer - timedelta(hours=moment.fold)


class Order(BaseModel):
    number: int
    at: datetime
    tags: frozenset[str] = frozenset()
    price: Decimal = Decimal(0)
    colour: Colour = Colour.RED
    nested: Point | None = None


class Root(BaseModel, frozen=True):
    n: int = 1


zones = st.none() | st.builds(
    lambda seconds: timezone(timedelta(seconds=seconds)), st.integers(-24 * 3600 + 1, 24 * 3600 - 1)
)
native = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.binary()
    | st.sampled_from(
        [127, -1, 0x7F7F, "\x7f", b"\x7f", b"\xd4\x7ft", 2**64 - 1, 2**64, -(2**63), -(2**63) - 1]
    )
)
rich = (
    st.datetimes(timezones=zones)
    | st.dates()
    | st.times(timezones=zones)
    | st.timedeltas()
    | st.decimals()
    | st.uuids()
    | st.builds(datetime.replace, st.datetimes(), fold=st.just(1))
)
hashable = st.recursive(
    native | rich.filter(lambda value: not (isinstance(value, Decimal) and value.is_snan())),
    lambda inner: st.lists(inner, max_size=3).map(tuple) | st.frozensets(inner, max_size=3),
    max_leaves=5,
)
kept = st.recursive(
    native | rich | hashable,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(hashable, inner, max_size=4)
        | st.sets(hashable, max_size=4)
    ),
    max_leaves=12,
)

#: what may be refused, but must never be written and then not read
anything_hashable = st.recursive(
    hashable
    | st.sampled_from([*Colour, *Level, *Mood, "red", 1])
    | st.sampled_from([msgpack.ExtType(127, b"t"), msgpack.Timestamp(1, 2)])
    | st.builds(msgpack.ExtType, st.integers(0, 127), st.binary(max_size=3))
    | st.text(st.characters(), max_size=2),
    lambda inner: st.builds(Point, inner, inner) | st.builds(Pair, inner, inner)
    | st.frozensets(inner, max_size=3) | st.lists(inner, max_size=3).map(tuple),
    max_leaves=5,
)  # fmt: skip
anything = st.recursive(
    anything_hashable
    | st.sampled_from([1j, object, ..., range(3), memoryview(b"abc"), bytearray(b"\x7f")]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(anything_hashable, inner, max_size=3)
        | st.sets(anything_hashable, max_size=3)
        | st.builds(Point, inner, inner)
        | st.builds(Pair, inner, inner)
        | st.dictionaries(anything_hashable, inner, max_size=3).map(OrderedDict)
    ),
    max_leaves=12,
)
slow = settings(
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large], deadline=None
)


def fingerprint(value: Any) -> str:
    """
    Stand for *value* by type and content, so that 1, 1.0 and True differ and NaN equals itself.
    """
    match value:
        case dict():
            parts = [f"{fingerprint(key)}: {fingerprint(item)}" for key, item in value.items()]
        case list() | tuple() if not isinstance(value, msgpack.ExtType):
            parts = [fingerprint(item) for item in value]
        case set() | frozenset():
            parts = sorted(fingerprint(item) for item in value)
        case datetime() | time():
            parts = [
                value.replace(fold=0).isoformat(),
                str(bool(value.fold and value.tzinfo is None)),
            ]
        case _:
            parts = [repr(value)]
    return f"{type(value).__name__}({', '.join(parts)})"


def same(left: Any, right: Any) -> bool:
    return fingerprint(left) == fingerprint(right)


def nested(levels: int, innermost: Any = ()) -> Any:
    """Lists in lists: *levels* of them, the last one empty unless *innermost* is given."""
    value: Any = list(innermost)
    for _ in range(levels - 1):
        value = [value]
    return value


@slow
@given(kept)
def test_every_kept_value_comes_back_equal_and_of_its_type(value):
    assert same(unpack(pack(value)), value)


@slow
@given(anything)
def test_whatever_pack_accepts_can_be_read_and_packed_again(value):
    try:
        data = pack(value)
    except UnsupportedValue:
        return
    once = unpack(data)
    assert same(unpack(pack(once)), once)


@slow
@given(anything)
def test_a_refusal_names_a_path(value):
    with pytest.raises(UnsupportedValue) as caught:
        pack([value, 1j], what="result")
    assert caught.value.path.startswith("result[")


@given(st.binary(max_size=40) | st.binary(max_size=20).map(lambda tail: b"\xc7\x05\x7f" + tail))
def test_garbage_is_a_value_or_an_unreadable_value_and_nothing_else(data):
    with contextlib.suppress(UnreadableValue):
        unpack(data)


@pytest.mark.parametrize(
    ("value", "comes_back"),
    [
        (Point(1, Point(2, 3)), {"x": 1, "y": {"x": 2, "y": 3}}),
        (Pair(1, [2]), (1, [2])),
        (Colour.RED, "red"),
        (Level.LOW, 1),
        (Level.HUGE, 2**80),
        (Mood.GOOD, "good"),
        ({Colour.RED: Colour.BLUE}, {"red": "blue"}),
        (bytearray(b"ab"), b"ab"),
        (memoryview(b"abc")[::1], b"abc"),
        (OrderedDict(b=1, a=2), {"b": 1, "a": 2}),
        (defaultdict(list, a=[1]), {"a": [1]}),
        (Counter("aab"), {"a": 2, "b": 1}),
        (type("Id", (str,), {"__str__": lambda _: "else"})("me"), "me"),
        (type("Euro", (float,), {})(1.5), 1.5),
        (type("Blob", (bytes,), {"__bytes__": lambda _: b"else"})(b"me"), b"me"),
        (type("Cash", (Decimal,), {"__str__": lambda _: "else"})("1.50"), Decimal("1.50")),
        (msgpack.ExtType(5, b"mine"), msgpack.ExtType(5, b"mine")),
        (msgpack.Timestamp(1, 2), msgpack.Timestamp(1, 2)),
        (AnyUrl("https://example.org/a"), "https://example.org/a"),
    ],
)
def test_a_relative_of_a_known_type_comes_back_as_that_type(value, comes_back):
    assert same(unpack(pack(value)), comes_back)


def test_a_pydantic_model_comes_back_as_the_map_of_its_fields():
    at = datetime(2026, 11, 1, tzinfo=UTC)
    order = Order(
        number=2**70, at=at, tags=frozenset("ab"), price=Decimal("1.10"), nested=Point(1, (2,))
    )
    assert unpack(pack([order])) == [
        {
            "number": 2**70, "at": at, "tags": frozenset("ab"), "price": Decimal("1.10"),
            "colour": "red", "nested": {"x": 1, "y": (2,)},
        }
    ]  # fmt: skip


def test_a_pydantic_model_is_packed_by_field_names_with_its_own_serializers():
    class Named(BaseModel, serialize_by_alias=True):
        inner: complex = Field(alias="other")

        @field_serializer("inner")
        def _as_text(self, value: complex) -> str:
            return str(value)

    assert unpack(pack(Named(other=1j))) == {"inner": "1j"}


def test_a_root_model_comes_back_as_its_root():
    assert unpack(pack(RootModel[set[int]]({1, 2}))) == {1, 2}


def test_an_aware_datetime_keeps_its_instant_and_offset_whatever_its_zone():
    for fold in (0, 1):
        again = unpack(pack(datetime(2026, 10, 25, 2, 30, fold=fold, tzinfo=ClocksGoBack())))
        assert again == datetime(2026, 10, 25, fold, 30, tzinfo=UTC)
        assert again.utcoffset() == timedelta(hours=2 - fold)


def test_a_naive_datetime_keeps_its_fold():
    assert unpack(pack(datetime(2026, 10, 25, 2, 30, fold=1))).fold == 1
    assert unpack(pack(time(2, 30, fold=1))).fold == 1


@pytest.mark.parametrize(
    "value",
    [datetime.min, datetime.max, date.min, date.max, timedelta.min, timedelta.max, time.max],
)
def test_the_ends_of_time_come_back(value):
    assert unpack(pack(value)) == value


@pytest.mark.parametrize("bits", [62, 63, 64, 65, 127, 128, 20_000])
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("off", [-1, 0, 1])
def test_ints_of_any_size_come_back_exactly(bits, sign, off):
    value = sign * 2**bits + off
    assert unpack(pack({value: value})) == {value: value}


def test_plain_values_are_plain_msgpack():
    assert pack({"n": 3}) == msgpack.packb({"n": 3})


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ({"a": {Point(): 1}}, "payload.a (key Point(x=1, y=2))"),
        ([{Point()}], "payload[0] (member Point(x=1, y=2))"),
        (frozenset({(1, Point())}), "payload (member (1, Point(x=1, y=2)))"),
        ({(1, (Point(),)): 1}, "payload (key (1, (Point(x=1, y=2),)))"),
    ],
)
def test_a_key_or_member_that_comes_back_as_a_map_is_refused(value, path):
    with pytest.raises(UnsupportedValue, match="hashable") as caught:
        pack(value)
    assert caught.value.path == path


@pytest.mark.parametrize(
    "value", [{Colour.RED: 1, "red": 2}, {Colour.RED, "red"}, [{1: 2}, {(Colour.RED,), ("red",)}]]
)
def test_two_keys_or_members_that_come_back_as_one_are_refused(value):
    with pytest.raises(UnsupportedValue, match="comes back as the same value"):
        pack(value)


@pytest.mark.parametrize(
    "data", [b"u", b"w2026", b"?", b"", b"tt", b"n1x", b"p" + b"\x7f" * 30, b"d\xff"]
)
@pytest.mark.parametrize(
    "wrap", [lambda value: value, lambda value: {"a": [value, datetime(1, 1, 1)]}]
)
def test_an_extension_that_would_be_taken_for_one_of_ours_is_refused(data, wrap):
    with pytest.raises(UnsupportedValue, match="ExtType with code 127"):
        pack(wrap(msgpack.ExtType(127, data)))


def test_a_mark_of_ours_on_its_own_comes_back_as_what_it_was():
    for mark in (codec.TUPLE, codec.SET, codec.FROZENSET):
        assert unpack(pack({"a": [1, mark]})) == {"a": [1, mark]}


@pytest.mark.parametrize("levels", range(MAX_DEPTH - 2, MAX_DEPTH + 2))
@pytest.mark.parametrize("wrap", ["list", "dict", "tuple", "frozenset", "dataclass"])
@pytest.mark.parametrize("innermost", [[], [1], (), {}, frozenset(), Point])
def test_nesting_is_read_as_deep_as_it_is_written(levels, wrap, innermost):
    if wrap == "frozenset" and innermost in ([], [1], {}):
        innermost = 1
    into = {
        "list": lambda value: [value],
        "dict": lambda value: {"a": value},
        "tuple": lambda value: (value,),
        "frozenset": lambda value: frozenset([value]),
        "dataclass": lambda value: Point(value, 1),
    }[wrap]
    value = Point if innermost is Point else innermost
    value = 1 if value is Point else value
    for _ in range(levels - 1):
        value = into(value)
    try:
        data = pack(value)
    except UnsupportedValue:
        assert levels >= MAX_DEPTH - 1
        return
    unpack(data)


def test_the_deepest_nesting_comes_back_and_one_more_is_refused():
    value, levels = unpack(pack(nested(MAX_DEPTH))), 1
    while value:
        [value], levels = value, levels + 1
    assert levels == MAX_DEPTH
    with pytest.raises(
        UnsupportedValue, match=f"nested more than {MAX_DEPTH:,} levels deep"
    ) as caught:
        pack(nested(MAX_DEPTH + 1))
    assert caught.value.path == "payload"


@pytest.mark.skipif(msgpack.version < (1, 2), reason="writes less deep than it reads")
def test_msgpack_alone_writes_a_level_it_cannot_read():
    """The reason for the list round every packed value; when this fails, msgpack has changed."""
    with pytest.raises(msgpack.StackError):
        msgpack.unpackb(msgpack.packb(nested(MAX_DEPTH + 1)))


def test_deep_tuples_are_read_in_a_thread_with_a_small_stack():
    value: Any = ()
    for _ in range(MAX_DEPTH // 2 - 1):
        value = (value,)
    data, read = pack(value), []
    before = threading.stack_size(256 * 1024)
    try:
        thread = threading.Thread(target=lambda: read.append(unpack(data)))
        thread.start()
    finally:
        threading.stack_size(before)
    thread.join()
    assert read == [value]


def test_a_value_that_contains_itself_is_refused():
    circle: list[Any] = []
    circle.append({"again": circle})
    with pytest.raises(UnsupportedValue, match="contains itself"):
        pack(circle)


def test_a_dataclass_that_contains_itself_is_refused():
    @dataclass
    class Node:
        next: Any = None

    node = Node()
    node.next = [node]
    with pytest.raises(UnsupportedValue, match="contains itself"):
        pack(node)


def test_a_model_that_contains_itself_is_refused():
    class Node(BaseModel):
        next: Any = None

    node = Node()
    node.next = node
    with pytest.raises(UnsupportedValue):
        pack(node)


def test_a_model_that_pydantic_cannot_dump_is_refused_with_the_reason():
    class Grouped(BaseModel):
        members: frozenset[Any]

    with pytest.raises(
        UnsupportedValue, match="a Grouped that cannot be dumped cannot be stored"
    ) as caught:
        pack({"group": Grouped(members={Root()})})
    assert caught.value.path == "payload.group"


class Opaque:
    pass


@dataclass
class Unset:
    late: int = field(init=False)


@pytest.mark.parametrize(
    ("value", "path", "problem"),
    [
        ({"items": [1, 2, 3, {"when": 1j}]}, "payload.items[3].when", "a complex cannot be stored"),
        (Opaque(), "payload", "a Opaque cannot be stored"),
        ([Opaque], "payload[0]", "a type cannot be stored"),
        ({"a b": Opaque()}, "payload['a b']", "cannot be stored"),
        ({3: Opaque()}, "payload[3]", "cannot be stored"),
        ((1, Opaque()), "payload[1]", "cannot be stored"),
        (Point(1, {"deep": Point(Opaque())}), "payload.y.deep.x", "cannot be stored"),
        ({"k": "\ud800"}, "payload.k", "not valid Unicode"),
        ({"\ud800": 1}, "payload (key '\\ud800')", "not valid Unicode"),
        ({"s": {1, 1j}}, "payload.s (member 1j)", "a complex cannot be stored"),
        ({(1, 1j): 2}, "payload (key (1, 1j))[1]", "a complex cannot be stored"),
        ([memoryview(b"abcd")[::2]], "payload[0]", "not contiguous"),
        ({"t": time(1, tzinfo=ClocksGoBack())}, "payload.t", "no fixed offset"),
        ({"t": datetime(2026, 1, 1, tzinfo=ClocksGoBack(None))}, "payload.t", "no fixed offset"),
        ([time(1, tzinfo=timezone(timedelta(microseconds=1)))], "payload[0]", "part of a second"),
        ([Unset()], "payload[0]", "field that was never set"),
        ({"gen": (n for n in [1])}, "payload.gen", "a generator cannot be stored"),
        (namedtuple("T", "a")(1j), "payload[0]", "a complex cannot be stored"),  # noqa: PYI024
        (Order.model_construct(number=1j, at=None), "payload.number", "a complex cannot be stored"),
    ],
)
def test_an_unsupported_value_is_named_by_its_path(value, path, problem):
    with pytest.raises(UnsupportedValue, match=problem) as caught:
        pack(value)
    assert caught.value.path == path


def test_the_first_of_several_unsupported_values_is_named():
    with pytest.raises(UnsupportedValue) as caught:
        pack({"a": [1, {"b": 1j}], "c": 2j}, what="result")
    assert caught.value.path == "result.a[1].b"


def test_an_error_in_user_code_is_not_hidden():
    @dataclass
    class Broken:
        x: int = 1

        def __getattribute__(self, name):
            return 1 / 0 if name == "x" else super().__getattribute__(name)

    with pytest.raises(ZeroDivisionError):
        pack(Broken())
    assert unpack(pack({"still": "works"})) == {"still": "works"}


def test_a_value_over_the_limit_is_refused_with_size_and_limit():
    data = pack({"text": "x" * 100})
    assert pack({"text": "x" * 100}, limit=len(data)) == data
    with pytest.raises(
        PayloadTooLarge, match=r"result is 108 bytes packed, over the limit of 107"
    ) as caught:
        pack({"text": "x" * 100}, what="result", limit=len(data) - 1)
    assert (caught.value.size, caught.value.limit) == (108, 107)


@pytest.mark.parametrize("value", [[uuid4()] * 10, [Point()] * 50])
def test_the_limit_holds_for_rich_values_too(value):
    with pytest.raises(PayloadTooLarge):
        pack(value, limit=100)


def test_a_packer_goes_on_clean_after_every_kind_of_failure():
    for bad in (1j, "\ud800", nested(3000), {Point(): 1}, [b"x" * (2 << 20), 1j]):
        with pytest.raises(UnsupportedValue):
            pack([b"left over", bad])
        assert pack({"n": 3}) == b"\x81\xa1n\x03"


def test_a_plain_value_after_a_rich_one_is_not_read_back_again():
    pack(Point())
    assert [encoder.was_helped for encoder in codec._idle] == [False] * len(codec._idle)


def test_packing_inside_packing_does_not_mix():
    @dataclass
    class Nosy:
        seen: Any = None

        def __getattribute__(self, name):
            return pack([1, 2, 3]) if name == "seen" else super().__getattribute__(name)

    assert unpack(pack([0, Nosy(), 4])) == [0, {"seen": pack([1, 2, 3])}, 4]


def test_threads_packing_at_once_do_not_mix():
    wrong = []

    def work(number: int) -> None:
        value = {"number": number, "at": datetime(2026, 1, 1), "items": list(range(number))}
        wrong.extend(turn for turn in range(300) if unpack(pack(value)) != value)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\xc1", b"\x91", b"\x93\x01\x02", b"\x01\x01", b"\xa1\xff", b"\xdd\xff\xff\xff\xff",
        b"\xdf\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff", b"\x81\x90\x01", b"\x81\x80\x01",
        b"\x91" * 5000, b"\xd4\x7f?", b"\xc7\x05\x7fu1234", b"\xc7\x05\x7fn1x_2",
        b"\x92\xd4\x7fs\x90", b"\x93\xd4\x7fs\x01\x01", b"\x81\x92\xd4\x7ft\x90\x01",
        b"\xd6\xff\x01", b"\xc7\x03\xff\x01\x02\x03", "text", None, 3, memoryview(b"\x01\x01"),
    ],
)  # fmt: skip
def test_garbage_raises_unreadable_value_with_a_sentence(data):
    with pytest.raises(UnreadableValue, match="cannot be read as a packed value"):
        unpack(data)


def test_a_kind_from_a_newer_version_is_said_to_be_one():
    with pytest.raises(UnreadableValue, match="newer stepflow"):
        unpack(b"\xc7\x03\x7fZab")


def test_the_wire_format_is_what_it_was():
    """Runs outlive deploys: these bytes are in people's Redis. Add to the list, change nothing."""
    stored = {
        "92d47f7401": (1,),
        "92d47f7301": {1},
        "92d47f6601": frozenset([1]),
        "c70a7f69010000000000000000": 2**64,
        "c70b7f64323032362d31312d3031": date(2026, 11, 1),
        "c71a7f77323032362d31312d30315431323a30303a30302b30303a3030": datetime(
            2026, 11, 1, 12, tzinfo=UTC
        ),
        "c7147f57323032362d31312d30315431323a30303a3030": datetime(2026, 11, 1, 12, fold=1),
        "c7097f6331323a33303a3030": time(12, 30),
        "c7097f4331323a33303a3030": time(12, 30, fold=1),
        "d67f700f4240": timedelta(seconds=1),
        "d67f6e312e35": Decimal("1.5"),
        "c7117f7500000000000000000000000000000001": UUID(int=1),
    }
    for text, value in stored.items():
        assert pack(value).hex() == text
        assert same(unpack(bytes.fromhex(text)), value)


def test_a_value_is_made_plain_one_level_at_a_time():
    inner = (1,)
    assert plain(Point(inner, 2)) == {"x": inner, "y": 2}
    assert plain((inner,)) == [codec.TUPLE, inner]


def test_packing_does_not_import_pydantic():
    code = (
        "import sys, dataclasses; from stepflow.store.values.codec import pack;"
        "P = dataclasses.make_dataclass('P', ['x']); pack(P({1, (2,)}));"
        "sys.exit('pydantic' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
