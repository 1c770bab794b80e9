"""What cannot be read: reading never raises, scripts step over it, and it is put away."""

import pytest

from stepflow import Client
from stepflow.core.run import Damage, RunState
from stepflow.errors import ServerUnfit, UnreadableRecord
from stepflow.store.calls import NO_HASH
from stepflow.store.claims import claim_one, renew_claims
from stepflow.store.connection.server_check import FORMAT, check_format
from stepflow.store.connection.sync import carry_out
from stepflow.store.hooks import DEAD, load_hook
from stepflow.store.maintenance import bury_hook, set_aside
from stepflow.store.run_hash import read_run
from stepflow.store.runs import Fence, finish_run, keep_step, load_data, load_run, load_steps
from tests.store.test_keeping import look, move


@pytest.fixture(autouse=True)
def forget(redis_client):
    """Leave nothing behind: damaged records have no time to live."""
    yield
    redis_client.flushall()


SOUND = {
    b"runner": b"x",
    b"queue": b"default",
    b"state": b"pending",
    b"rev": b"1",
    b"created": b"1.000000",
}

COUNTS = (
    b"rev",
    b"generation",
    b"step",
    b"failures",
    b"crashes",
    b"handoff",
    b"ends",
    b"inbox",
    b"cleanup",
)
TIMES = (b"due", b"created", b"started", b"updated", b"ended", b"deadline", b"unroutable")
TEXTS = (
    b"delivery",
    b"token",
    b"claimed_id",
    b"waits_for",
    b"origin",
    b"queue",
    b"runner",
    b"state",
    b"stop",
)
NO_COUNT = (b"zz", b"-1", b"1.5", b"1e400", b"nan", b"1_0", b" 1", b"\xff", b"9" * 40)
NO_TIME = (b"zz", b"nan", b"inf", b"-1", b"1e400", b"1e30", b"\xff", b"253402300799.999")


@pytest.mark.parametrize(
    ("field", "held"),
    [
        *((field, held) for field in COUNTS for held in NO_COUNT),
        *((field, held) for field in TIMES for held in NO_TIME),
        *((field, b"\xff\xfe") for field in TEXTS),
        *((b"runner", held) for held in (b"", b"trip@zz", b"trip@", b"@2", b"trip@0", b"a b")),
        *(
            (b"stop", held)
            for held in (b"garbage", b"cancel|zz|x", b"later|1|x", b"cancel|nan|x", b"|")
        ),
        *((b"origin", held) for held in (b"zz", b"a.0|", b"a.0|inf")),
        *((b"delivery", held) for held in (b"zz", b"run-b-0", b"run-a-x", b"hook-a")),
        *((b"queue", held) for held in (b"", b"a b", b"a:b")),
        *((b"state", held) for held in (b"", b"frozen")),
        (b"rev", b""),
    ],
)
def test_a_field_that_cannot_be_read_is_named_and_stands_at_its_default(keys, field, held):
    """[B12]"""
    run = read_run("a", SOUND | {field: held}, keys)
    assert run.damage == (Damage(field.decode(), held),)
    sound = read_run("a", SOUND | ({field: b""} if field not in SOUND else {}), keys)
    assert not sound.damage
    assert repr(held[:60]) in run.unreadable or not held


def test_a_key_that_holds_no_hash_is_a_damaged_run(store, keys):
    """[B12]"""
    store.client.set(keys.run("a"), "x")
    store.client.rpush(f"{keys.run('a')}:data", "x")
    store.client.set(f"{keys.run('a')}:steps", "x")
    run, data, steps = store.connection.calls(
        [call(keys, "a") for call in (load_run, load_data, load_steps)]
    )
    assert (run.unreadable, data, steps) == ("its key holds no hash", NO_HASH, NO_HASH)
    assert store.load("b") is None


def test_an_unknown_field_is_kept_by_all_that_rewrites_a_record(store, keys):
    """[B13]"""
    store.submit()
    store.client.hset(keys.run("a"), "of_a_later_version", "1")
    store.claim()
    run = store.load()
    store.connection.call(keep_step(keys, run, store.fence(run), b"\x01", now=store.now))
    run = store.load()
    store.connection.call(
        finish_run(keys, run, store.fence(run), state=RunState.SUCCEEDED, now=store.now, ttl_s=100)
    )
    assert store.client.hget(keys.run("a"), "of_a_later_version") == b"1"


HURT = {
    "rev": lambda client, keys: client.hset(keys.run("bad"), "rev", "zz"),
    "no rev": lambda client, keys: client.hdel(keys.run("bad"), "rev"),
    "no runner": lambda client, keys: client.hdel(keys.run("bad"), "runner"),
    "no hash": lambda client, keys: (
        client.delete(keys.run("bad")),
        client.set(keys.run("bad"), "x"),
    ),
}


@pytest.mark.parametrize("what", HURT)
def test_a_claim_leaves_what_it_cannot_read_and_takes_its_neighbours(store, keys, what):
    """
    [B12] Was: the script ended in the middle, and those it had taken out of their queue were lost
    with it.
    """
    for run_id in ("good1", "bad", "good2"):
        store.submit(run_id)
    HURT[what](store.client, keys)
    taken = store.batch().taken
    assert [(item.rq_id, bool(item.token)) for item in taken] == [
        ("run-good1-0", True), ("run-bad-0", False), ("run-good2-0", True)
    ]  # fmt: skip
    bad = read_run("bad", taken[1].row, keys)
    assert bad.damage
    assert store.connection.call(set_aside(keys, bad, reason="why", now=store.now))
    assert store.client.zrange(keys.claims, 0, -1) == [b"run:good1", b"run:good2"]
    assert store.client.zrange(keys.queued_at("default"), 0, -1) == []
    if what != "no hash":
        assert (
            store.load("bad").state,
            store.client.hget(f"{keys.run('bad')}:data", "reason"),
        ) == ("paused", b"why")


def test_data_a_job_and_lists_of_another_type_hold_up_no_claim(store, keys):
    """[B12]"""
    store.submit("a")
    store.submit("b")
    for key in (f"{keys.run('a')}:data", "rq:job:run-a-0", "rq:wip:default"):
        store.client.delete(key)
        store.client.set(key, "x")
    taken = store.batch().taken
    assert [(item.rq_id, bool(item.token)) for item in taken] == [
        ("run-a-0", True),
        ("run-b-0", True),
    ]
    assert taken[0].data is NO_HASH


def test_a_stock_workers_claim_takes_nothing_that_cannot_be_read(store, keys):
    """[B12]"""
    store.submit("a")
    store.client.hset(keys.run("a"), "rev", "zz")
    before = store.dump()
    call = claim_one(
        keys, "run:a", "run-a-0", "w.1.", "default", given=store.clock.given, lease_s=10
    )
    assert store.connection.call(call).token == ""
    assert store.dump() == before
    store.client.set(keys.run("b"), "x")
    call = claim_one(
        keys, "run:b", "run-b-0", "w.1.", "default", given=store.clock.given, lease_s=10
    )
    assert store.connection.call(call)[1:3] == ("", NO_HASH)


def test_one_record_that_is_none_does_not_keep_the_others_from_being_renewed(store, keys):
    """[B12]"""
    run = store.held("a")
    store.client.set(keys.run("bad"), "x")
    store.client.hset(keys.run("a"), mapping={"inbox": "zz", "stop": ""})
    wanted = [("run:bad", "w1.1.", 60.0), ("run:a", run.token, 60.0)]
    assert store.connection.call(renew_claims(keys, wanted, given=store.clock.given))[1] == [0, 1]
    assert store.client.zscore(keys.claims, "run:a") == pytest.approx(store.now + 60)


STRAYS = [b"bad", b"run:", b"run:a:b", b"\xff\xfe", b":", b"x:y", b"run:a b", b"hook:\xe9"]


@pytest.mark.parametrize("index", ["claims", "due", "deadlines", "pending"])
def test_what_names_nothing_is_taken_out_of_an_index_and_said(store, keys, index):
    """[B12]"""
    name = keys.queued_at("default") if index == "pending" else getattr(keys, index)
    strays = [b"a:b", b"\xff", b"", b"a b"] if index == "deadlines" else STRAYS
    store.client.zadd(name, dict.fromkeys(strays, 1.0))
    found = move(store).strays if index == "due" else look(store).strays
    assert len(found) == len(strays)
    assert store.client.exists(name) == 0
    assert store.client.exists("stepflow:x:y", "stepflow:run:a:b") == 0


def test_an_entry_of_the_waiting_lists_that_is_none_is_taken_out(store, keys):
    """[B12]"""
    store.client.sadd(keys.waiting_lists, "zz", b"\xff|\xff", "a|b|c")
    store.client.rpush(keys.waiting_list("default", "x"), "run-a-0")
    store.client.sadd(keys.waiting_lists, "default|x")
    found = look(store)
    assert (found.waiting_lists, len(found.strays)) == (["default|x"], 3)


def test_what_is_due_and_damaged_goes_to_its_queue_where_its_claim_sees_it(store, keys):
    """[B12]"""
    store.submit("bad", due_in=5)
    store.submit("good", due_in=6)
    store.client.hset(keys.run("bad"), "rev", "zz")
    store.clock.advance(10)
    assert move(store)[1:] == (2, None, [], [], [], [], [])
    assert store.entries() == ["run-bad-0", "run-good-0"]
    assert [bool(item.token) for item in store.batch().taken] == [False, True]


@pytest.mark.parametrize(
    ("field", "held"),
    [
        *(("due", held) for held in (b"zz", b"nan", b"inf", b"1e400")),
        ("due", b"1_0"),
        ("queue", b"\xff"),
    ],
)
def test_what_is_due_and_does_not_say_when_or_where_is_named(store, keys, field, held):
    """[B12]"""
    for run_id in ("bad", "none", "good"):
        store.submit(run_id, due_in=5)
    store.client.hset(keys.run("bad"), field, held)
    store.client.delete(keys.run("none"))
    store.client.set(keys.run("none"), "x")
    store.clock.advance(10)
    found = move(store)
    assert (found.moved, found.strays, found.damaged) == (2, ["run:none"], ["run:bad"])
    assert store.connection.call(set_aside(keys, store.load("bad"), reason="why", now=store.now))
    assert store.client.exists(keys.due) == 0


def test_a_run_that_was_repaired_meanwhile_is_not_set_aside(store, keys):
    """[B12]"""
    store.submit("a")
    store.client.hset(keys.run("a"), "step", "zz")
    damaged = store.load("a")
    store.client.hset(keys.run("a"), "step", "0")
    before = store.dump()
    assert not store.connection.call(set_aside(keys, damaged, reason="why", now=store.now))
    assert store.dump() == before


def test_a_pause_of_what_cannot_be_read_leaves_the_rest_of_it_for_whoever_repairs_it(store, keys):
    """[B12]"""
    store.submit("a", timeout=100.0)
    store.client.hset(keys.run("a"), mapping={"step": "zz", "due": "yy"})
    assert store.connection.call(set_aside(keys, store.load("a"), reason="why", now=store.now))
    run = store.load("a")
    assert (run.state, run.rev, run.unreadable) == ("paused", 2, "field 'step' holds b'zz'")
    assert store.client.exists(keys.deadlines, keys.queued_at("default")) == 0
    assert store.claim() == []


def test_an_end_mends_what_could_not_be_read(store, keys):
    """[B12]"""
    store.submit("a")
    garbage = {
        "rev": "zz",
        "step": "zz",
        "stop": "zz",
        "runner": b"\xff",
        "queue": b"\xff",
        "created": "zz",
    }
    store.client.hset(keys.run("a"), mapping=garbage)
    store.client.set(f"{keys.run('a')}:journal", "x")
    damaged = store.load("a")
    ended = finish_run(
        keys, damaged, Fence("", "r"), state=RunState.CANCELLED, now=store.now, ttl_s=100
    )
    assert store.connection.call(ended) == [1]
    run = store.load("a")
    assert (run.state, run.damage, run.runner, run.queue) == ("cancelled", (), "unknown", "default")
    assert store.connection.call(ended) == [2]


def test_a_hook_that_cannot_be_read_is_buried(store, keys):
    """[B12]"""
    client = store.client
    for hook_id, hurt in (("a", {"rev": "zz"}), ("b", {"tries": "zz"}), ("c", {"run": b"\xff"})):
        client.hset(
            keys.hook(hook_id),
            mapping={"rev": 1, "state": "pending", "target": b"\x90", "run": "r"} | hurt,
        )
        client.zadd(keys.claims, {f"hook:{hook_id}": 1.0})
        hook = store.connection.call(load_hook(keys, hook_id))
        assert hook.damage
        assert store.connection.call(bury_hook(keys, hook, problem="why", now=store.now, ttl_s=100))
        assert not store.connection.call(
            bury_hook(keys, hook, problem="why", now=store.now, ttl_s=100)
        )
        buried = store.connection.call(load_hook(keys, hook_id))
        assert (buried.state, buried.problem, buried.damage) == (DEAD, "why", ())
        assert client.ttl(keys.hook(hook_id)) > 0
    assert client.zcard(keys.dead_hooks) == 3
    assert client.exists(keys.claims) == 0


def test_a_key_of_another_type_is_an_error_of_its_own_and_no_refusal(store, keys):
    """[B12]"""
    store.client.set(keys.run("a"), "x")
    with pytest.raises(UnreadableRecord, match="WRONGTYPE"):
        store.submit("a")


# ---- the format


def test_the_number_of_the_format_is_written_once(store, keys):
    """[B13]"""
    carry_out(store.connection, check_format(keys))
    carry_out(store.connection, check_format(keys))
    assert store.client.get(keys.format) == b"%d" % FORMAT


@pytest.mark.parametrize(
    ("held", "words"),
    [
        (
            b"3",
            "a later stepflow has worked here.* says data format 3, this version reads 2; upgrade",
        ),
        (
            b"1",
            "an earlier stepflow has worked here.* data format 1, this version reads 2; let",
        ),
        (b"zz", "no number of a data format"),
        (b"0", "no number of a data format"),
        (b"\xff", "no number of a data format"),
        (b"", "no number of a data format"),
    ],
)
def test_a_format_that_this_version_does_not_read_is_refused_in_words(store, keys, held, words):
    """[B13]"""
    store.client.set(keys.format, held)
    with pytest.raises(ServerUnfit, match=words):
        carry_out(store.connection, check_format(keys))
    assert store.client.get(keys.format) == held


@pytest.mark.parametrize("number", [None, b"1"])
def test_a_database_of_the_earlier_version_is_refused_and_left_as_it_is(store, keys, number):
    """[B13] Its first versions wrote no number; each of its workers wrote under `apphooks`."""
    store.client.hset("stepflow:apphooks", "etl", b"\x90")
    if number:
        store.client.set(keys.format, number)
    before = store.dump()
    with pytest.raises(ServerUnfit, match="an earlier stepflow has worked here"):
        carry_out(store.connection, check_format(keys))
    assert store.dump() == before
    store.client.flushall()


def test_a_format_of_another_type_is_refused_in_words(store, keys):
    """[B13]"""
    store.client.rpush(keys.format, "1")
    with pytest.raises(ServerUnfit, match="no number of a data format"):
        carry_out(store.connection, check_format(keys))


@pytest.mark.parametrize(
    ("held", "words"),
    [
        (b"3", "a later stepflow has worked here"),
        (b"1", "an earlier stepflow has worked here"),
        (b"zz", "no number of a data format"),
    ],
)
def test_a_client_writes_nothing_among_data_of_another_format(store, keys, held, words):
    """[B13] Workers refuse them too; but a web app may be upgraded before them, or after."""
    store.client.set(keys.format, held)
    before = store.dump()
    client = Client(connection=store.connection, namespace=keys.namespace)
    with pytest.raises(ServerUnfit, match=words):
        client.submit("etl", {"n": 1})
    assert store.dump() == before
