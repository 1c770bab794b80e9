"""A folder without its mark: a store that is new, or a mount that is away."""

from __future__ import annotations

import time
from threading import Thread

import pytest

from stepflow import Client, OffloadUnreachable
from stepflow.engine.env import Env
from stepflow.store.connection.address import Address
from stepflow.store.keys import Keys
from stepflow.store.offload.folder import MARK
from stepflow.store.offload.use import forget_store, open_store, present
from stepflow.store.values.codec import unpack
from tests.offload.conftest import files_in
from tests.support import until_blocking


def test_a_process_that_starts_while_the_mount_is_away_begins_no_new_store(
    folder, settings, url, real
):
    """[S16] Nor does one of a version that made no mark find its values lost."""
    Client(url, settings=settings).submit("r", "x" * 100_000, run_id="a")
    folder.rename(folder.with_name("mounted"))
    forget_store()
    client = Client(url, settings=settings)
    with pytest.raises(OffloadUnreachable, match=r"is it mounted\? if a new store is to begin"):
        client.submit("r", "x" * 100_000, run_id="b")
    with pytest.raises(OffloadUnreachable, match="is it mounted"):
        unpack(client.status("a").payload.reference.write())
    assert files_in(folder) == []
    folder.rmdir()
    folder.with_name("mounted").rename(folder)
    client.submit("r", "x" * 100_000, run_id="b")
    (folder / MARK).unlink()
    forget_store()
    client = Client(url, settings=settings)
    client.submit("r", "x" * 100_000, run_id="c")
    assert (folder / MARK).is_file()
    for run_id in "abc":
        client.cancel(run_id)
    client.close()
    real.delete("stepflow:store")


def test_processes_that_begin_a_store_at_once_all_use_it(folder, settings, url, real):
    """[S16] One of them makes its mark; the others find it there."""
    env = Env(Keys(), settings)
    env.stand_at(lambda: Address.parse(url))
    first = present().store
    asked, other = first.is_new, open_store(str(folder))

    def second_to_come():
        is_new = asked()
        assert is_new
        Thread(target=other.write, args=("ns/b/~/v-1", b"value")).start()
        time.sleep(0.1)
        return is_new

    other.is_new = asked
    first.is_new = second_to_come
    first.write("ns/a/~/v-1", b"value")
    assert first.read("ns/a/~/v-1") == b"value"
    until_blocking(lambda: len(files_in(folder)) == 2)
    real.delete("stepflow:store")
