"""
Negative controls: what the scripts of lanes and of shared keys guard is taken away piece by piece.

Each time an ordering that goes well goes wrong. Who changes a script hears of it here.
"""

import re
from dataclasses import replace
from typing import NamedTuple

import pytest

from stepflow import Client
from stepflow.engine.env import Env
from stepflow.engine.once.options import Debounce, Singleton
from stepflow.engine.spec import RunSpec
from stepflow.engine.submit import prepare
from stepflow.settings import Settings
from stepflow.store import scripts
from stepflow.store.calls import Call
from stepflow.store.runs import AGAIN, DONE, Taken, load_run, put_off, submit_run
from tests.fairness import test_lanes as lanes


@pytest.fixture
def redis_client(real):
    """The real server alone: the fake one is ten times slower, and the scripts are the same."""
    return real


class AlteredLink:
    """A link that carries out another script in the place of one."""

    def __init__(self, connection, script):
        self.connection, self.script = connection, script
        connection.client.script_load(script.text)

    def call(self, call):
        return self.calls([call])[0]

    def calls(self, calls):
        return self.connection.calls([self._altered(call) for call in calls])

    def _altered(self, call):
        if call.script is None or call.script.name != self.script.name:
            return call
        parts = ("EVALSHA", self.script.sha, *call.parts[2:])
        return Call(self.script, parts, call.read, resend=call.resend)


def narrow(bench):
    bench.redis.hset(bench.keys.fair, "default", 1)
    return bench


# lanes


def turns(bench):
    lanes.test_a_tenant_with_much_leaves_every_other_turn_to_one_with_little(narrow(bench))


def goes_on_submitting(bench):
    """Whoever submits more while it waits loses no turn by that."""
    narrow(bench).fill(busy=50, eager=2)
    taken = []
    for number in range(30):
        bench.submit(f"eager-x{number}", "eager")
        taken += lanes.lanes_of(bench.claim())
    assert taken.count("eager") >= 12


def new_tenants(bench):
    lanes.test_a_stream_of_new_tenants_starves_nobody(narrow(bench))


def weights(bench):
    lanes.test_weights_are_shares(narrow(bench), 1)


def in_order(bench):
    """Many come at one instant."""
    narrow(bench)
    names = [f"{chr(122 - number)}" for number in range(20)]
    for name in names:
        bench.submit(name, "a")
    assert bench.drain() == names


def shares(bench):
    lanes.test_a_worker_takes_its_share_of_what_the_lanes_hold(bench)


def window(bench):
    lanes.test_the_window_is_full_as_long_as_lanes_hold_enough(bench)


def gone(bench):
    lanes.test_runs_that_wait_no_more_cost_their_lane_no_turn(narrow(bench))


def paused(bench):
    lanes.test_a_paused_queue_gives_nothing_and_its_lanes_wait(narrow(bench))
    assert bench.window() == []


def no_key_left(bench):
    lanes.test_when_all_is_done_no_key_is_left(narrow(bench))


def stock(bench):
    lanes.test_a_round_fills_the_window_where_only_stock_workers_claim(bench)


def put_back(bench):
    lanes.test_a_run_that_no_lane_leads_to_is_put_back_by_a_round(bench)


def a_pause_in_the_lane(bench):
    """A run that is moved from outside leaves its lane."""
    narrow(bench).fill(a=4)
    bench.give_back_waiting("a-1", due_at=bench.clock.now() + 60)
    assert not bench.redis.zscore(bench.keys.lane("default", "a"), "run:a-1")
    assert bench.drain() == ["a-0", "a-2", "a-3"]


# keys that runs share


def make(bench, run_id, once, request="", ousted=""):
    env = Env(bench.keys, Settings(), bench.clock)
    options = {"singleton" if isinstance(once, Singleton) else "debounce": once}
    made = prepare(RunSpec("x", run_id, run_id, **options), env, may_share=True)
    call = submit_run(
        bench.keys, made.run, request=request or run_id, data=made.data, ousted=ousted
    )
    return bench.connection.call(call)


def end(bench, run_id):
    client = Client("redis://nowhere", connection=bench.connection)
    client.env.clock = bench.clock
    client.cancel(run_id)


KEY, WAITS = Singleton("k"), Debounce("k", wait=5)


def one_at_a_time(bench):
    assert make(bench, "a", KEY) is None
    assert make(bench, "b", KEY) == Taken("a")


def sent_twice_after_its_end(bench):
    """The reply of the first was lost; the run has ended since, and another has the key."""
    make(bench, "a", KEY)
    end(bench, "a")
    make(bench, "b", KEY)
    assert make(bench, "a", KEY) is None


def an_end_frees_the_key(bench):
    make(bench, "a", KEY)
    bench.redis.hset(bench.keys.run("a"), "ended", "1")  # by a worker of the version before
    assert make(bench, "b", KEY) is None


def another_run_of_that_id(bench):
    """The key names a run that was forgotten, and whose id another one has."""
    bench.submit("a")
    bench.redis.set(bench.keys.once(KEY.name), "a")
    assert make(bench, "b", KEY) is None


def an_ousted_run_ends_late(bench):
    make(bench, "a", KEY)
    make(bench, "b", KEY, ousted="a")
    end(bench, "a")
    assert make(bench, "c", KEY) == Taken("b")


def an_end_takes_its_key_along(bench):
    make(bench, "a", KEY)
    end(bench, "a")
    assert not bench.redis.exists(bench.keys.once(KEY.name))


def a_run_that_is_due_is_not_debounced(bench):
    make(bench, "a", WAITS)
    bench.redis.hset(bench.keys.run("a"), "state", "pending")
    assert make(bench, "b", WAITS) is None


def off(bench, run, request="r"):
    call = put_off(
        bench.keys, run, WAITS.name, request=request, digest=b"d", data=["payload", b"late"],
        due_at=bench.clock.now() + 9, now=bench.clock.now(),
    )  # fmt: skip
    return bench.connection.call(call)[0]


def waiting(bench):
    make(bench, "a", WAITS)
    return bench.connection.call(load_run(bench.keys, "a"))


def a_late_debounce(bench):
    """The run begins between the look at it and the write."""
    run = waiting(bench)
    bench.redis.hset(bench.keys.run("a"), "state", "running")
    assert off(bench, run) not in {DONE, AGAIN}


def a_late_debounce_of_one_that_was_moved(bench):
    run = waiting(bench)
    bench.redis.hincrby(bench.keys.run("a"), "rev", 1)
    assert off(bench, run) not in {DONE, AGAIN}


def a_debounce_sent_twice(bench):
    run = waiting(bench)
    assert [off(bench, run), off(bench, run)] == [DONE, AGAIN]


def a_debounce_of_a_key_that_has_moved_on(bench):
    run = waiting(bench)
    bench.redis.set(bench.keys.once(WAITS.name), "b")
    assert off(bench, run) not in {DONE, AGAIN}


class Guard(NamedTuple):
    script: str
    text: str
    instead: str
    ordering: object


GUARDS = [
    Guard(
        "submit_run", "if soft('ZSCORE', lanes, lane.name) then return end",
        "", goes_on_submitting,
    ),
    Guard("submit_run", "tag + 1 / weight_of(lane), lane.name", "0, lane.name", new_tenants),
    Guard("submit_run", "if last[2] and tonumber(last[2]) >= at then", "if false then", in_order),
    Guard(
        "claim_steps", "redis.call('ZINCRBY', lanes, 1 / weight_of(",
        "redis.call('ZINCRBY', lanes, 0 * weight_of(", turns,
    ),
    Guard("claim_steps", "1 / weight_of(lane_in(ns, queue, name))", "1", weights),
    Guard(
        "claim_steps", "math.max(least, window_of(ns, source.queue))",
        "window_of(ns, source.queue)", shares,
    ),
    Guard("claim_steps", "source.is_laned then\nwaiting", "false then\nwaiting", window),
    Guard("claim_steps", "elseif id and id ~= '' then", "elseif true then id = id or ''", gone),
    Guard("claim_steps", "not source.is_paused and source.list", "source.list", paused),
    Guard(
        "claim_steps", "if not member then redis.call('ZREM', lanes, name)",
        "if not member then return length", no_key_left,
    ),
    Guard("scan_maintenance", "if has_laned then", "if false then", stock),
    Guard("scan_maintenance", "open_lane(lane)\nreturn 0", "return 0", put_back),
    Guard(
        "hand_over", "for _, lane in ipairs(lane_keys) do soft('ZREM', lane, member) end",
        "", a_pause_in_the_lane,
    ),
    Guard("submit_run", "if holder then return {3, holder} end", "", one_at_a_time),
    Guard(
        "submit_run", " and soft('HGET', run_key, 'submit_id') ~= request",
        "", sent_twice_after_its_end,
    ),
    Guard("submit_run", " or (row[2] or '') ~= '' then", " then", an_end_frees_the_key),
    Guard("submit_run", "row[1] ~= name or ", "", another_run_of_that_id),
    Guard("submit_run", "waits == '1' and", "false and", a_run_that_is_due_is_not_debounced),
    Guard(
        "finish_run", "if soft('GET', once) == run_id then redis.call('DEL', once) end",
        "redis.call('DEL', once)", an_ousted_run_ends_late,
    ),
    Guard(
        "finish_run", "if once_keys[1] then leave_once(once_keys[1], run_id) end",
        "", an_end_takes_its_key_along,
    ),
    Guard("put_off", "or row[3] ~= STATE_SCHEDULED or row[4]", "", a_late_debounce),
    Guard("put_off", "row[1] ~= rev or ", "", a_late_debounce_of_one_that_was_moved),
    Guard("put_off", "if row[2] == request then return {2} end", "", a_debounce_sent_twice),
    Guard(
        "put_off", "if soft('GET', once_key) ~= run_id then return {0} end",
        "", a_debounce_of_a_key_that_has_moved_on,
    ),
]  # fmt: skip

each_guard = pytest.mark.parametrize(
    "guard", GUARDS, ids=lambda guard: f"{guard.script}: {guard.ordering.__name__}"
)


def without(guard):
    """The script of a guard with that taken away."""
    script = getattr(scripts, guard.script.upper())
    text = re.sub(r"\n +", "\n", script.text)
    assert text.count(guard.text) == 1, f"{guard.script} has not {guard.text!r} once"
    return replace(script, text=text.replace(guard.text, guard.instead))


@each_guard
def test_with_its_guard_it_goes_well(bench, guard):
    """[L22]"""
    guard.ordering(bench)
    bench.redis.flushall()


@each_guard
def test_without_its_guard_it_goes_wrong(bench, guard):
    """[L22]"""
    bench.connection = AlteredLink(bench.connection, without(guard))
    with pytest.raises(AssertionError):
        guard.ordering(bench)
    bench.redis.flushall()
