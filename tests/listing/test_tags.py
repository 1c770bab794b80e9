"""[O29] Tags: what may be one, who gives them, what finds runs by them, and that they go again."""

from __future__ import annotations

import pytest

from stepflow import RunSpec
from stepflow.engine.tags import MOST_TAGS, read_tags, write_tags
from stepflow.errors import InvalidOption
from stepflow.store.maintenance import sweep_expired
from tests.listing.walks import all_ids
from tests.support import until


@pytest.mark.parametrize(
    "tags",
    [
        {},
        {"tenant": "acme"},
        {"a.b:c-d_e": "x=y|z, é"},
        {f"k{n}": "v" * 64 for n in range(MOST_TAGS)},
    ],
)
def test_tags_are_read_as_they_were_written(tags):
    assert read_tags("\n".join(write_tags(tags))) == tags


@pytest.mark.parametrize(
    ("tags", "says"),
    [
        ({"": "a"}, "not made of letters"), ({"a b": "a"}, "not made of letters"),
        ({"a=": "a"}, "not made of letters"), ({"a": ""}, "printable"),
        ({"a": "b\nc=d"}, "printable"), ({"a": 1}, "str to str"), ({1: "a"}, "str to str"),
        ({"a": "é" * 33}, "over 64 bytes"), ({"a" * 65: "b"}, "over 64 bytes"),
        ({f"k{n}": "v" for n in range(MOST_TAGS + 1)}, "9 tags, the most is 8"),
    ],
)  # fmt: skip
def test_what_is_no_tag_is_refused_and_nothing_written(client, real, tags, says):
    with pytest.raises(InvalidOption, match=says):
        client.submit("x", tags=tags)
    assert not list(real.scan_iter("stepflow:run:*"))


def test_runs_are_found_by_their_tags(client, real):
    client.submit_many(
        [
            RunSpec("x", run_id="a", tags={"tenant": "acme", "kind": "import"}),
            RunSpec("y", run_id="b", tags={"tenant": "acme"}),
            RunSpec("x", run_id="c", tags={"tenant": "acme & sons"}),
            RunSpec("x", run_id="d"),
        ]
    )
    client.fail("a", "boom")
    assert dict(client.status("a").tags) == {"tenant": "acme", "kind": "import"}
    assert client.status("d").tags == {}
    assert all_ids(client, tags={"tenant": "acme"}) == ["a", "b"]
    assert all_ids(client, tags={"tenant": "acme"}, state="failed") == ["a"]
    assert all_ids(client, tags={"tenant": "acme", "kind": "import"}) == ["a"]
    assert all_ids(client, where="tag.tenant=acme runner=y") == ["b"]
    assert all_ids(client, where="tag.tenant='acme & sons'") == ["c"]
    assert all_ids(client, where="tag.tenant^=acme") == ["a", "c", "b"]
    assert client.why("a").evidence["tags"] == {"tenant": "acme", "kind": "import"}
    real.flushall()


def test_a_bulk_is_for_the_runs_of_a_tag(client, real):
    client.submit_many([RunSpec("x", run_id=f"r{n}", tags={"n": f"{n % 2}"}) for n in range(6)])
    found = client.preview("cancel", "tag.n=1")
    assert (found.count, sorted(found.examples)) == (3, ["r1", "r3", "r5"])
    client.fail("r1", "boom")
    assert client.preview("cancel", "tag.n=1").count == 2
    assert client.preview("retry", "tag.n=1").examples == ["r1"]
    real.flushall()


def test_a_tag_goes_with_the_last_run_that_has_it(client, real, keys):
    """Whichever way a run goes: deleted, begun anew without it, or expired."""
    index = keys.tag_index("a=b|c")
    for run_id in ("deleted", "anew", "expired", "stays"):
        client.submit("x", run_id=run_id, tags={"a": "b|c"})
        client.fail(run_id)
    client.retry("stays")
    assert real.zcard(index) == 4
    client.delete("deleted")
    client.submit("x", run_id="anew", on_conflict="restart")
    real.delete(*real.scan_iter(keys.run("expired") + "*"))
    [member] = [item for item in real.zrange(keys.expiry, 0, -1) if b"expired" in item]
    assert member == b"failed|x|expired|a=b|c"
    real.zadd(keys.expiry, {member: 1.0})
    assert client.connection.call(sweep_expired(keys, given="", limit=10)) == 1
    assert real.zrange(index, 0, -1) == [b"stays"]
    assert not real.zcard(keys.expiry)
    client.cancel("stays")
    client.delete("stays")
    assert not real.exists(index)
    client.cancel("anew")
    client.delete("anew")


async def test_children_and_forks_have_tags(app, aclient, working, real):
    """A child those that it is given, a fork those of its origin."""

    @app.workflow("child")
    async def child(ctx, n):
        return n

    @app.workflow("parent")
    async def parent(ctx):
        await (await ctx.spawn("child", 1, tags={"of": "spawn"})).result()
        return await ctx.map("child", [2, 3], tags={"of": "map"})

    async with working(app):
        run = await aclient.submit("parent", tags={"of": "submit"})
        await run.result(60)
        for of, count in {"spawn": 1, "map": 2, "submit": 1}.items():
            page = await aclient.list(tags={"of": of})
            assert [dict(found.tags) for found in page] == [{"of": of}] * count
            assert {found.state for found in page} == {"succeeded"}
        fork = await aclient.fork(run.id, "spawn child")
        await until(lambda: real.zscore("stepflow:idx:ended:succeeded", fork.id))
    assert {found.id for found in await aclient.list(tags={"of": "submit"})} == {run.id, fork.id}


def test_a_run_without_tags_costs_nothing(client, real, keys):
    """No key and no field: by that its end does not look for any."""
    client.submit("x", run_id="a")
    assert not real.hexists(keys.run("a"), "tagged")
    assert not real.hexists(f"{keys.run('a')}:data", "tags")
    client.cancel("a")
    assert not list(real.scan_iter("stepflow:idx:tag:*"))
    assert real.zrange(keys.expiry, 0, -1) == [b"cancelled|x|a"]
