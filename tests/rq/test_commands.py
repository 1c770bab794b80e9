"""RQ's commands, which a worker hears over a channel."""

from __future__ import annotations

from typing import Any

import pytest

from stepflow.rq.worker import StepWorker
from stepflow.store.connection.address import Address
from stepflow.store.connection.redis_py import connect
from tests import servers
from tests.support import until_blocking


@pytest.fixture
def listening(real, server, monkeypatch):
    """A worker of RQ's side alone, which listens."""
    monkeypatch.setattr("stepflow.rq.worker.LISTEN_AGAIN_S", 0.02)
    client = connect(Address.parse(server))
    worker = StepWorker(["q"], name="w", connection=client)
    worker.subscribe()
    yield worker
    worker.unsubscribe()
    client.close()


@pytest.mark.skipif(servers.KIND == "acl", reason="the rights of its users are not to change")
def test_a_worker_hears_them_again_after_the_server_refused_it_the_channel(
    listening: Any, real: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """RQ's own thread ends then, and the worker is deaf until it is restarted."""
    channel = listening.pubsub_channel_name

    def listeners() -> int:
        return int(real.pubsub_numsub(channel)[0][1])

    until_blocking(lambda: listeners() == 1)
    real.execute_command("ACL", "SETUSER", "default", "-subscribe")
    try:
        real.client_kill_filter(_type="pubsub")
        until_blocking(lambda: "permissions to run the 'subscribe' command" in caplog.text)
    finally:
        real.execute_command("ACL", "SETUSER", "default", "+subscribe")
    until_blocking(lambda: listeners() == 1)
