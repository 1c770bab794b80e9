"""A graph laid out: nothing lies over anything else, ways begin and end at their boxes [M7]."""

from itertools import combinations, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stepflow.core.graphs import Edge, Graph, Mark, Marks, Node, NodeKind
from stepflow.web.pages.graph.draw import draw
from stepflow.web.pages.graph.label import MOST, columns, cut
from stepflow.web.pages.graph.lay_out import MOST_NODES, lay_out
from stepflow.web.pages.graph.order import crossings, in_order
from stepflow.web.pages.graph.ranks import ranks, ways_back

NAMES = [f"state {number}" * (1 + number % 3) for number in range(9)]
nodes = st.lists(st.sampled_from(NAMES), min_size=1, unique=True)
ways = st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES)), max_size=25)


def graph_of(names, ways):
    kinds = list(NodeKind)
    return Graph(
        tuple(
            Node(name, kind=kinds[at % 3], note="ask" * (at % 2)) for at, name in enumerate(names)
        ),
        tuple(Edge(*way) for way in ways),
        tuple(names[:1]),
    )


@settings(max_examples=60, deadline=None)
@given(nodes, ways, st.booleans())
def test_boxes_stand_apart_and_ways_lead_from_box_to_box(names, ways, is_down):
    """[M7]"""
    graph = graph_of(names, ways)
    laid = lay_out(graph, is_down=is_down)
    assert set(laid.boxes) == set(names)
    for one, other in combinations(laid.boxes.values(), 2):
        assert (
            one.left + one.width < other.left or other.left + other.width < one.left
            or one.top + one.height < other.top or other.top + other.height < one.top
        )  # fmt: skip
    assert set(laid.lines) == set(graph.ways)
    for (here, there), line in laid.lines.items():
        assert touches(laid.boxes[here], line.points[0])
        assert touches(laid.boxes[there], line.tip[0])
        for x, y in (*line.points, *line.tip):
            assert 0 <= x <= laid.width
            assert 0 <= y <= laid.height


def touches(box, point):
    x, y = point
    across = box.left - 0.01 <= x <= box.left + box.width + 0.01
    down = box.top - 0.01 <= y <= box.top + box.height + 0.01
    inside = (
        box.left + 0.01 < x < box.left + box.width - 0.01
        and box.top + 0.01 < y < box.top + box.height - 0.01
    )
    return across and down and not inside


@settings(max_examples=60)
@given(nodes, ways)
def test_every_way_leads_to_a_later_rank_but_those_that_close_a_circle(names, ways):
    """[M7]"""
    graph = graph_of(names, ways)
    back = ways_back(graph)
    forth = [way for way in graph.ways if way not in back]
    levels = ranks(names, forth)
    assert all(levels[here] < levels[there] for here, there in forth)


def test_a_graph_without_circles_leads_back_nowhere():
    """[M7]"""
    assert ways_back(graph_of("abcd", [("a", "b"), ("a", "c"), ("b", "d"), ("c", "d")])) == set()
    assert ways_back(graph_of("abc", [("a", "b"), ("b", "c"), ("c", "a")])) == {("c", "a")}


def test_ways_that_need_not_cross_do_not():
    """[M7]"""
    rows = [["a", "b", "c"], ["x", "y", "z"]]
    links = [("a", "z"), ("b", "y"), ("c", "x")]
    assert crossings(rows, {here: [there] for here, there in links}) == 3
    found = in_order(rows, links)
    assert crossings(found, {here: [there] for here, there in links}) == 0
    assert [sorted(row) for row in found] == rows


@pytest.mark.parametrize("is_down", [True, False])
def test_what_is_too_large_to_be_looked_at_is_not_laid_out(is_down):
    """[M7] Neither many nodes, nor many ways that pass many ranks."""
    names = [f"n{number}" for number in range(MOST_NODES + 1)]
    assert lay_out(graph_of(names, pairwise(names)), is_down=is_down) is None
    some = names[:100]
    long = graph_of(some, [*pairwise(some), *((some[0], name) for name in some[2:])])
    assert lay_out(long, is_down=is_down) is None
    assert lay_out(graph_of(names[1:], pairwise(names[1:])), is_down=is_down) is not None
    assert draw(graph_of([], [])) is None


def test_a_picture_says_in_words_what_it_shows():
    """[M7]"""
    graph = graph_of(["new", "paid"], [("new", "paid")])
    made = draw(graph, Marks({"new": Mark.DONE, "paid": Mark.NOW}, frozenset({("new", "paid")})))
    assert made.said == "Graph of 2 nodes; done: new; now: paid"
    assert [way.is_taken for way in made.down.ways] == [True]
    assert [node.sign for node in made.down.nodes] == ["✓", "▶"]


@given(st.text(max_size=60))
def test_a_label_fits_its_box_whatever_is_in_it(text):
    """[M7]"""
    shown = cut(text)
    assert columns(shown) <= MOST
    assert shown.strip()


@given(nodes, ways)
def test_a_graph_is_read_as_it_was_written(names, ways):
    """[M7]"""
    graph = graph_of(names, ways)
    assert Graph.of_plain(graph.to_plain()) == graph


@pytest.mark.parametrize(
    "plain", [None, 5, [], [[["a"]], [], [], ""], [[["a"] * 5], [["a"]], [], ""]]
)
def test_what_is_no_graph_is_refused(plain):
    with pytest.raises(ValueError, match="no graph"):
        Graph.of_plain(plain)


def test_a_graph_of_a_later_version_is_read():
    """[M7] It may have kinds of nodes that this one does not know, and more in each list."""
    plain = [[["a", "", "", "", "gate", 1]], [], ["a", "b"], "", {"more": 1}]
    assert Graph.of_plain(plain) == Graph((Node("a"),), (), ("a",))
