"""What is asked of a store for large values, of a folder and of a bucket of S3 alike."""

from __future__ import annotations

import errno
import os
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from moto.moto_server.threaded_moto_server import ThreadedMotoServer

import stepflow
from stepflow import Client, OffloadUnreachable, Step, Succeed
from stepflow.settings import Settings
from stepflow.store.connection.sync import carry_out
from stepflow.store.offload.blobs import BlobStore
from stepflow.store.offload.sweep import Swept, sweep
from stepflow.store.offload.use import open_store, present
from stepflow.value_settings import OffloadSettings
from tests.offload.conftest import MB, files_in
from tests.support import until

LARGE = os.urandom(200_000)


class Bucket:
    """A server that speaks as S3 does, with one bucket; it can go away and come back."""

    def __init__(self) -> None:
        self.start()
        self.empty()

    def start(self, port: int = 0) -> None:
        self._server = ThreadedMotoServer("127.0.0.1", port, verbose=False)
        self._server.start()
        _, self.port = self._server.get_host_and_port()
        self.url = f"http://127.0.0.1:{self.port}"

    def stop(self) -> None:
        self._server.stop()
        self._server._server.server_close()

    def empty(self) -> None:
        """Have the bucket, with nothing in it."""
        for method, path in (("POST", "moto-api/reset"), ("PUT", "values")):
            request = urllib.request.Request(f"{self.url}/{path}", method=method)
            urllib.request.urlopen(request).close()


@pytest.fixture(scope="module")
def s3_server() -> Iterator[Bucket]:
    """One server for all tests of this file."""
    server = Bucket()
    yield server
    server.stop()


@pytest.fixture
def bucket(s3_server: Bucket, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """A bucket with nothing in it, and the environment of somebody who may write there."""
    s3_server.empty()
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "somebody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    return s3_server


@pytest.fixture(params=["folder", "s3"])
def store(request: pytest.FixtureRequest, folder: Path) -> BlobStore:
    """A folder, and a bucket."""
    if request.param == "folder":
        return open_store(str(folder))
    request.getfixturevalue("bucket")
    return open_store("s3://values/of/ours")


@pytest.mark.parametrize("size", [0, 1, 70_000, 12 * MB])
def test_what_is_written_is_read(store, size):
    data = os.urandom(size)
    store.write("ns/run/~/a-1", data)
    assert store.read("ns/run/~/a-1") == data


def test_what_is_not_there_is_told_apart_from_a_store_that_is_away(store):
    with pytest.raises(FileNotFoundError):
        store.read("ns/run/~/a-1")


def test_a_store_lists_what_it_has(store):
    """[S16]"""
    before = time.time() - 5
    for path in (
        "ns/a/~/v-1",
        "ns/a/~/for/b",
        "ns/a/p/v-2",
        "ns/b/~/v-3",
        "ns/redis",
        "other/c/~/v",
    ):
        store.write(path, b"value")
    assert sorted(store.folders("ns")) == ["a", "b"]
    assert sorted(store.folders("ns/a")) == ["p", "~"]
    assert list(store.folders("nobody")) == []
    found = list(store.blobs("ns/a/~"))
    assert sorted(each.path for each in found) == ["ns/a/~/for/b", "ns/a/~/v-1"]
    assert all(before < each.written_at < before + 60 for each in found)
    assert list(store.blobs("ns/nobody")) == []


def test_a_store_deletes_what_is_there(store):
    paths = [f"ns/a/~/v-{number}" for number in range(3)]
    for path in paths:
        store.write(path, b"value")
    store.delete([*paths[:2], "ns/a/~/not-there"])
    assert [each.path for each in store.blobs("ns")] == paths[2:]
    store.delete(paths[2:])
    assert list(store.folders("ns")) == []


def test_a_folder_that_comes_to_light_below_a_lost_mount_is_away(folder):
    """[S16] Not empty, and nothing is written there: that would be gone when the mount is back."""
    store = open_store(str(folder))
    store.write("ns/a/~/v-1", b"value")
    folder.rename(folder.with_name("mounted"))
    folder.mkdir()
    for work in (
        lambda: store.read("ns/a/~/v-1"),
        lambda: store.write("ns/a/~/v-2", b"value"),
        lambda: list(store.blobs("ns")),
        lambda: list(store.folders("ns")),
        lambda: store.delete(["ns/a/~/v-1"]),
    ):
        with pytest.raises(OSError, match="is it mounted") as raised:
            work()
        assert not isinstance(raised.value, FileNotFoundError)
    folder.rmdir()
    folder.with_name("mounted").rename(folder)
    assert store.read("ns/a/~/v-1") == b"value"


def test_many_write_the_same_note_at_once(folder):
    """[S16] Forks of one id, and doctors that say whose store it is."""
    store = open_store(str(folder))
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: store.write("ns/redis", b"mine"), range(400)))
    assert [file.name for file in files_in(folder)] == ["redis"]


def test_a_disk_that_is_full_has_nothing_left_of_what_it_could_not_take(folder, monkeypatch):
    """[S16] It is tried again every second: each would take what is left."""

    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    store = open_store(str(folder))
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            store.write("ns/a/~/v-1", b"value")
    assert files_in(folder) == []


def test_a_folder_that_cannot_be_listed_is_not_taken_for_an_empty_one(folder, monkeypatch):
    """[S16] A fork whose note is not seen would lose its values to the sweep."""
    store = open_store(str(folder))
    store.write("ns/a/~/v-1", b"value")
    store.write("ns/a/~/for/b", b"")
    scandir = os.scandir

    def broken(path):
        if str(path).endswith("for"):
            raise OSError(errno.EIO, "Input/output error")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", broken)
    with pytest.raises(OSError, match="Input/output error"):
        list(store.blobs("ns/a/~"))


def test_a_folder_that_is_swept_while_somebody_writes_there_is_made_again(folder):
    """[S16] A run id that is used again."""
    store = open_store(str(folder))

    def write(number):
        store.write(f"ns/a/~/v-{number}", b"value")
        store.delete([f"ns/a/~/v-{number}"])

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(write, range(400)))
    assert files_in(folder) == []


@pytest.mark.parametrize("url", ["s3://not-there/values", "s3://values/of/ours"])
def test_a_bucket_that_is_away_is_not_one_without_the_value(bucket, url):
    """[S16]"""
    store = open_store(url)
    if "not-there" not in url:
        bucket.stop()
    try:
        for work in (
            lambda: store.read("ns/run/~/a-1"),
            lambda: store.write("ns/run/~/a-1", b"value"),
            lambda: list(store.blobs("ns")),
        ):
            with pytest.raises(OSError, match=r"sending request|NoSuchBucket") as caught:
                work()
            assert not isinstance(caught.value, FileNotFoundError)
            assert "\n" not in str(caught.value)
    finally:
        if "not-there" not in url:
            bucket.start(bucket.port)


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """The short times of all tests, and a store in a bucket."""
    offload = OffloadSettings(url="s3://values/of/ours")
    return settings.model_copy(update={"offload": offload})


@pytest.mark.crash  # takes seconds
async def test_a_result_of_50_mb_goes_through_a_bucket(bucket, app, aclient, working):
    """[S16]"""
    large = os.urandom(25 * MB) * 2

    @app.workflow("exports")
    async def exports(ctx: stepflow.Context) -> bytes:
        return await ctx.step(lambda: large)

    async with working(app):
        run = await aclient.submit("exports")
        assert await run.result(60) == large


async def test_a_bucket_that_is_away_costs_time_and_nothing_else(
    bucket, app, aclient, working, caplog
):
    """[S16]"""
    calls = []

    def load() -> bytes:
        calls.append(1)
        bucket.stop()
        return LARGE

    @app.workflow("loads")
    async def loads(ctx: stepflow.Context) -> int:
        return len(await ctx.step(load))

    async with working(app):
        run = await aclient.submit("loads", run_id="a")
        await until(lambda: "large values at s3://values/of/ours does not answer" in caplog.text)
        bucket.start(bucket.port)
        assert await run.result(60) == len(LARGE)
    assert calls == [1]


async def test_values_in_a_bucket_go_with_their_run(
    bucket, app, aclient, working, link_to_real, keys
):
    """[S16]"""

    @app.runner("echo")
    async def echo(step: Step[bytes]):
        return Succeed(step.payload)

    async with working(app):
        runs = [await aclient.submit("echo", LARGE) for _ in range(2)]
        assert [await run.result(60) for run in runs] == [LARGE, LARGE]
    await aclient.delete(runs[0].id)
    swept = carry_out(link_to_real, sweep(present().store, keys, before=time.time() + 60))
    assert swept == Swept(2, 1)
    assert await runs[1].result() == LARGE


def test_a_submit_names_the_bucket(bucket, url, settings):
    with Client(url, settings=settings) as client:
        client.submit("any", "small")
        bucket.stop()
        try:
            with pytest.raises(OffloadUnreachable, match="s3://values/of/ours does not answer"):
                client.submit("any", LARGE)
        finally:
            bucket.start(bucket.port)
