"""The journal's entry format, and what is looked for in a journal as it is stored."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepflow.core.children import ChildEnd, ChildGroup
from stepflow.core.journal import (
    Entry,
    EntryKind,
    before_end,
    find_step,
    last_failure,
    read_journal,
    read_map_end,
    settled_maps,
    start_entry,
    step_names,
    write_map_end,
)
from stepflow.errors import UnreadableRecord

PLAIN = st.text(st.characters(codec="utf-8", exclude_characters="|"), max_size=20)


def entry(kind, place, name="n", data=b""):
    return Entry(EntryKind(kind), place, name, 1.0, data).write()


@given(st.sampled_from(EntryKind), PLAIN, PLAIN, st.integers(0, 2**40), st.binary(max_size=20))
def test_an_entry_is_read_as_it_was_written(kind, place, name, microseconds, data):
    at = microseconds / 1e6
    written = Entry(kind, place, name, at, data)
    assert Entry.read(written.write()) == written
    assert written.holding(b"|x").write() == written.head() + b"|x"


def test_an_entry_that_cannot_be_read_is_named_with_its_index():
    with pytest.raises(UnreadableRecord, match=r"'r'.* entry 1 of its journal holds b'nonsense'"):
        read_journal([entry("value", "0"), b"nonsense"], "r")


@pytest.mark.parametrize("end", ["stop", "undo"])
def test_a_journal_ends_where_the_run_was_stopped_or_began_to_undo(end):
    journal = [entry("value", "0"), entry(end, end), entry("value", "1")]
    assert before_end(journal) == journal[:1]
    assert before_end(journal[:1]) == journal[:1]


def test_the_failure_that_ended_a_run_is_an_error_at_the_end_with_its_tries():
    caught, tried, failed = entry("error", "0"), entry("try", "1"), entry("error", "1")
    value = entry("value", "2")
    assert last_failure([caught, tried, value, failed]) == [tried, failed]
    assert last_failure([tried, failed, value]) == [], "the workflow caught it and went on"
    assert last_failure([]) == []


def test_a_stop_is_forgotten_with_all_that_came_after_it():
    journal = [entry("value", "0"), entry("stop", "stop"), entry("error", "1")]
    assert last_failure(journal) == journal[1:]


def test_a_step_is_found_by_its_name_before_its_place_or_key():
    journal = [
        start_entry(1, 1.0), entry("value", "b", "a"), entry("value", "0", "b"),
        entry("value", "key:k", "c"),
    ]  # fmt: skip
    assert [find_step(journal, step) for step in ("a", "b", "0", "k", "key:k", "start")] == [
        1, 2, 2, 3, 3, None,
    ]  # fmt: skip
    assert step_names(journal) == ["a", "b", "c"]


def test_settled_maps_are_found_by_their_id_and_total():
    group = ChildGroup("m", 12, 12, 0, 3)
    end = write_map_end(group, b"9|3")
    assert read_map_end(end) == 12
    failed = ChildEnd("failed", b"a|b|c").write()
    journal = [entry("map", "0", data=end), entry("map", "1", data=failed), entry("map", "2")]
    assert settled_maps(journal) == [ChildGroup("m", 12, 0, 0, 0)]


def test_a_childs_end_is_read_as_it_was_written():
    end = ChildEnd("succeeded", b"a|b")
    assert ChildEnd.read(end.write()) == end
    assert ChildEnd.read_numbered(b"7|" + end.write()) == ChildEnd("succeeded", b"a|b", 7)
    assert end.is_success
