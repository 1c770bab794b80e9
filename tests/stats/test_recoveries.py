"""What recoveries count, and from when on a run counts as waiting."""

from __future__ import annotations

import pytest
import redis

from stepflow import AsyncClient, Client, Context, Stepflow
from stepflow.core.counts import Counted, quantile_s, upper_bound_s
from stepflow.core.run import Run
from stepflow.engine.stats.snapshot import snapshot
from stepflow.engine.stats.tally import Tally
from stepflow.store.connection.sync import SyncConnection, carry_out
from stepflow.store.keys import Keys
from stepflow.worker.counting.counters import Counters
from stepflow.worker.recover import recover_lapsed, recover_lost_delivery, recover_worker
from tests.conftest import Working
from tests.engine.conftest import Ghost
from tests.support import until


@pytest.fixture
def ghost(link_to_real: SyncConnection, keys: Keys, real: redis.Redis) -> Ghost:
    """A worker that claims and does nothing more."""
    return Ghost(link_to_real, keys, real)


def counts(client: Client) -> Tally:
    return carry_out(client.connection, snapshot(client.env)).counts


def test_each_recovery_is_counted_by_why(client: Client, ghost: Ghost, real: redis.Redis) -> None:
    """[E20] And the attempt that was lost with its worker."""
    for run_id in ("lapsed", "dead"):
        client.submit("chain", run_id=run_id)
        ghost.claim("chain")
        if run_id == "dead":
            carry_out(client.connection, recover_worker("ghost", client.env))
        else:
            ghost.die()
            carry_out(client.connection, recover_lapsed(f"run:{run_id}", client.env))
        client.cancel(run_id)
    client.submit("chain", run_id="emptied")
    real.delete("rq:queue:default")
    carry_out(client.connection, recover_lost_delivery("run:emptied", client.env))
    found = counts(client)
    assert dict(found.of_kind(Counted.RECOVERED)) == {
        "lapsed": {"": 1},
        "dead_worker": {"": 1},
        "lost_delivery": {"": 1},
    }
    assert found.labels(Counted.STEPS, "chain") == {"lost": 2}


def test_a_run_that_dies_with_its_workers_is_counted_as_failed(
    client: Client, ghost: Ghost
) -> None:
    """[E20] By the script that ends it: there is no worker that could."""
    client.submit("chain", run_id="poison")
    most = client.settings.worker.max_crashes
    for _ in range(most + 1):
        client.run_now("poison") if client.status("poison").state == "scheduled" else None
        ghost.claim("chain")
        carry_out(client.connection, recover_worker("ghost", client.env))
    assert client.status("poison").state == "failed"
    [group] = client.stats().failing
    assert (group.runner, group.count) == ("chain", 1)
    assert counts(client).labels(Counted.STEPS, "chain") == {"lost": most + 1}


async def test_a_run_that_was_woken_waits_from_then_on(
    app: Stepflow, aclient: AsyncClient, working: Working, real: redis.Redis
) -> None:
    """[E20] Not since it began to wait for its message."""

    @app.workflow("flow")
    async def flow(ctx: Context) -> None:
        await ctx.wait_for_signal("go")

    run = await aclient.submit("flow", run_id="r")
    async with working(app):
        await until(lambda: real.hget("stepflow:run:r", "state") == b"waiting")
    parked_at = float(real.hget("stepflow:run:r", "updated"))
    await aclient.signal(run.id, "go")
    assert real.hget("stepflow:run:r", "state") == b"pending"
    assert float(real.hget("stepflow:run:r", "updated")) > parked_at
    async with working(app):
        await run.wait(60)


def test_a_wait_counts_from_when_the_run_was_due() -> None:
    counters = Counters()
    counters.note_wait(Run("a", "x", created_at=100.0), 101.0)
    counters.note_wait(Run("b", "x", created_at=100.0, due_at=160.0), 161.0)
    counters.note_wait(Run("c", "x", created_at=100.0, updated_at=170.0), 171.0)
    assert counters.drain() == {"waited|default|20": 3, "waited_us|default": 3_000_000}
    assert counters.drain() == {}


@pytest.mark.parametrize("took_s", [0.0, 3e-6, 1e-3, 1.5e-3, 1.0, 60.0, 1e6, 1e12])
def test_a_time_is_in_the_bucket_that_bounds_it(took_s: float) -> None:
    counters = Counters()
    counters.attempts_of("x").note_attempt("succeed", took_s)
    [field] = [field for field in counters.drain() if field.startswith("took|")]
    bucket = int(field.rpartition("|")[2])
    assert took_s < upper_bound_s(bucket)
    assert bucket == 0 or took_s >= upper_bound_s(bucket - 1)


def test_quantiles_lie_in_the_bucket_that_has_them() -> None:
    assert quantile_s({}, 0.5) is None
    buckets = {10: 90, 20: 10}
    half, most, last = (quantile_s(buckets, share) for share in (0.5, 0.9, 0.99))
    assert half is not None
    assert last is not None
    assert upper_bound_s(9) < half < upper_bound_s(10)
    assert most == upper_bound_s(10)
    assert upper_bound_s(19) < last < upper_bound_s(20)
