"""The page of a run that is a machine's."""

from __future__ import annotations

import re

import pytest

from stepflow.core.graphs import Graph, Node
from stepflow.store.values.codec import pack
from tests.kits.machine import loans
from tests.support import until


async def test_the_page_of_a_run_shows_the_states_it_entered(app, aclient, working, look):
    """[M1]"""
    app.machine(loans.loan)
    async with working(app):
        run = await aclient.submit("loan", loans.Loan(5))
        await run.result()
    page = await look(f"runs/{run.id}")
    assert all(label in page for label in ("validate", "score[0]", "done"))
    place = (await aclient.steps(run.id)).steps[0].place
    assert "validate" in await look(f"runs/{run.id}", step=place)


async def test_the_page_of_a_run_draws_the_graph_of_its_machine(app, aclient, working, look):
    """[M7] With the current state, the way taken, and what the machine says it is."""
    app.machine(loans.loan)
    async with working(app):
        run = await aclient.submit("loan", loans.Loan(500))
        [question] = await until(aclient.questions)
        page = await look(f"runs/{run.id}")
        assert "now in <" not in page
        assert "now in review</small>" in page
        assert "A loan is scored, then granted by a person or by its amount." in page
        assert looks(page) == {
            "validate": "step done", "score": "step done", "route": "choice done",
            "review": "step now", "done": "end ahead", "rejected": "end ahead",
        }  # fmt: skip
        assert '<path class="gw taken"' in page
        await aclient.answer(question.token, True)
        await run.result()
    page = await look(f"runs/{run.id}")
    assert "now in" not in page
    assert looks(page)["done"] == "end done"


def looks(page):
    """Give how each node of the graph on a page is drawn, by its label."""
    found = re.findall(r'<g class="gn ([a-z ]+)"><title>(\w+)', page)
    assert found[: len(found) // 2] == found[len(found) // 2 :]  # across the page, and down
    return {title: look for look, title in found}


@pytest.mark.parametrize("stored", [b"\xff", "many", "", None])
async def test_a_graph_that_cannot_be_read_or_drawn_costs_nobody_the_page(
    app, aclient, working, look, real, stored
):
    """[M7]"""
    app.machine(loans.loan)
    async with working(app):
        run = await aclient.submit("loan", loans.Loan(5))
        await run.result()
    key = aclient.env.keys.graphs
    if stored is None:
        real.delete(key)
        real.set(key, "something else")
    else:
        many = Graph(tuple(Node(f"n{number}") for number in range(2000)), ())
        real.hset(key, "loan", pack(many.to_plain()) if stored == "many" else stored)
    page = await look(f"runs/{run.id}")
    assert "Timeline" in page
    assert ("2,000 nodes are too many" in page) == (stored == "many")
    assert '<svg class="gr' not in page


async def test_a_run_without_a_graph_has_none_on_its_page(app, aclient, working, look, real):
    """[M7] And nothing is written for an app that has no machine."""

    @app.workflow("plain")
    async def plain(ctx):
        return await ctx.step("one", lambda: 1)

    async with working(app):
        run = await aclient.submit("plain")
        await run.result()
        assert not real.exists(aclient.env.keys.graphs)
    assert "h-graph" not in await look(f"runs/{run.id}")
