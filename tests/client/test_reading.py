"""What is read of runs from outside: variables, and listings by what has no index [U12]."""

from datetime import UTC, datetime, timedelta

import pytest

from stepflow import RunNotFound, RunSpec
from stepflow.errors import InvalidOption
from stepflow.store.keys import Keys
from tests.support import until


def ids(page):
    return sorted(run.id for run in page)


async def test_the_variables_of_a_run_and_a_session_are_read_from_outside(
    app, client, aclient, working, real
):
    """[U12] As a workflow wrote them, from both clients; one that is damaged says so."""

    @app.workflow("counts")
    async def counts(ctx):
        await ctx.vars.incr("turns", 3)
        await ctx.vars.set("last", {"a": [1]})
        await ctx.session("user-7").vars.set("name", "Ada")

    async with working(app):
        run = await aclient.submit("counts")
        await run.wait(60)
    expected = {"last": {"a": [1]}, "turns": 3}
    assert client.vars(run.id) == await aclient.vars(run.id) == expected
    assert client.session("user-7").vars() == {"name": "Ada"}
    assert await aclient.session("user-7").vars() == {"name": "Ada"}
    assert client.session("nobody").vars() == {}
    real.hset(f"{Keys().run(run.id)}:vars", "turns", b"=\xc1")
    assert "turns" in client.vars(run.id)
    assert client.vars(run.id)["last"] == {"a": [1]}
    with pytest.raises(RunNotFound):
        client.vars("nobody")
    with pytest.raises(InvalidOption):
        client.session("a|b").vars()


async def test_children_and_roots_are_listed(app, client, working):
    """[U12] Those of a map as well as those of a spawn."""

    @app.workflow("leaf")
    async def leaf(ctx, n):
        return n

    @app.workflow("parent")
    async def parent(ctx):
        await ctx.spawn("leaf", 1)
        return await ctx.map("leaf", [1, 2])

    async with working(app):
        first, second = [await app.async_client.submit("parent") for _ in range(2)]
        for run in (first, second):
            await run.wait(60)
        await until(lambda: len(client.list(state="succeeded")) == 8)
    children = client.list(parent=first.id)
    assert len(children) == 3
    assert {run.parent for run in children} == {first.id}
    assert ids(client.list(roots=True)) == sorted([first.id, second.id])
    assert len(client.list(parent="nobody")) == 0
    with pytest.raises(InvalidOption):
        client.list(parent=first.id, roots=True)


async def test_runs_are_listed_by_queue_header_and_time(client, aclient):
    """[U12] Alone and together; from both clients."""
    client.submit_many(
        [
            RunSpec("w", 1, run_id="a", queue="slow", headers={"tenant": "t1", "x": "1"}),
            RunSpec("w", 1, run_id="b", headers={"tenant": "t1"}),
            RunSpec("w", 1, run_id="c", headers={"tenant": "t2"}),
            RunSpec("w", 1, run_id="d"),
        ]
    )
    assert ids(client.list(queue="slow")) == ["a"]
    assert ids(client.list(headers={"tenant": "t1"})) == ["a", "b"]
    assert ids(client.list(headers={"tenant": "t1", "x": "1"})) == ["a"]
    assert ids(await aclient.list(headers={"tenant": "t1"}, queue="default")) == ["b"]
    assert len(client.list(since=timedelta(hours=1))) == 4
    assert len(client.list(since=client.status("a").created_at)) == 4
    assert len(client.list(since=datetime.now(UTC) + timedelta(hours=1))) == 0


def test_a_page_looks_at_so_many_runs_and_says_so(client, monkeypatch):
    """[U12] Its cursor goes on where it left off, and finds the rest."""
    monkeypatch.setattr("stepflow.engine.listing.walk.PAGE", 5)
    monkeypatch.setattr("stepflow.engine.listing.walk.MOST_SCANNED", 10)
    client.submit_many(
        [RunSpec("w", n, run_id=f"r{n}", queue="a" if n < 2 else "b") for n in range(23)]
    )
    page = client.list(queue="a")
    assert (len(page), page.scanned) == (0, 10)
    found, pages = [], 1
    while page.cursor is not None:
        page = client.list(queue="a", cursor=page.cursor)
        found += ids(page)
        pages += 1
    assert (found, pages) == (["r0", "r1"], 3)
    assert client.list(runner="w").scanned == 23, "an index is walked to its end"
