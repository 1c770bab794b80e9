"""A worker that leaves is gone: no round of maintenance brings it back."""

import asyncio

from stepflow.engine.env import Env
from stepflow.engine.versions import announce_builds
from stepflow.store.claims import sources_of
from stepflow.store.connection.address import Address
from stepflow.store.connection.async_ import AsyncConnection, carry_out
from stepflow.worker.maintenance import Maintenance


async def test_no_round_that_goes_on_or_begins_later_brings_it_back(url, keys, settings, real):
    """[U7] Else runs are handed on to the code of a worker that is no more."""
    env = Env(keys, settings)
    connection = AsyncConnection(Address.parse(url), retry_for_s=1.0)
    in_the_middle, may_go_on = asyncio.Event(), asyncio.Event()

    async def announce() -> None:
        in_the_middle.set()
        await may_go_on.wait()
        await carry_out(connection, announce_builds("w", "default", {"flow": "b"}, env))

    async def report() -> None:
        """Nothing was counted."""

    rounds = Maintenance(
        env, connection, worker="w", sources=sources_of(keys, "default"), queues=["default"],
        serves={}, on_look=lambda look, extra: None, announce=announce,
        report=report,
    )  # fmt: skip
    try:
        rounds.note_reconnect()
        going = asyncio.ensure_future(rounds.go_safely())
        await in_the_middle.wait()
        assert real.zscore(keys.workers("default"), "w") is not None
        leaving = asyncio.ensure_future(rounds.leave())
        await asyncio.sleep(0)
        may_go_on.set()
        await asyncio.gather(going, leaving)
        await rounds.go_safely()
        assert real.zscore(keys.workers("default"), "w") is None
        assert real.hgetall(keys.builds) == {}
    finally:
        rounds.stop()
        await connection.close()
