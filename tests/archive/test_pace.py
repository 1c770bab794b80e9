"""How an archiver beside a worker stands back for steps."""

from __future__ import annotations

import pytest

from stepflow import Client
from stepflow.settings import ArchiveSettings
from stepflow.store.runs.to_archive import ends_key
from stepflow.worker.archiving.pace import Pace


@pytest.fixture
def look(client: Client, real):
    """Say how long it leaves off after a batch of a second, given its surroundings."""

    def pause_s(*, runs: bool, waits_s: float | None, share: float = 0.02, lag_s: float = 60.0):
        keys, now = client.env.keys, client.env.clock.now()
        real.delete(keys.claims, ends_key(keys))
        if runs:
            real.zadd(keys.claims, {"run:o1": now + 30})
        if waits_s is not None:
            real.zadd(ends_key(keys), {"note": now - waits_s})
        settings = ArchiveSettings(share=share, lag_s=lag_s)
        try:
            return Pace(client.env, client.connection, settings).pause_s(1.0)
        finally:
            real.delete(keys.claims, ends_key(keys))

    return pause_s


def test_while_steps_run_it_takes_its_share(look):
    assert look(runs=True, waits_s=0.0) == pytest.approx(49, abs=0.01)
    assert look(runs=True, waits_s=0.0, share=0.5) == pytest.approx(1, abs=0.01)


def test_while_no_step_runs_it_goes_on(look):
    assert look(runs=False, waits_s=0.0) == 0


def test_all_of_its_time_is_all(look):
    assert look(runs=True, waits_s=0.0, share=1.0) == 0


@pytest.mark.parametrize(("waits_s", "left_s"), [(20, 40), (59.9, 0.1), (61, 0), (1e6, 0)])
def test_no_end_waits_longer_than_one_may(look, waits_s, left_s):
    assert look(runs=True, waits_s=waits_s) == pytest.approx(left_s, abs=0.05)


def test_where_no_end_waits_it_looks_at_once(look):
    assert look(runs=True, waits_s=None) == 0
