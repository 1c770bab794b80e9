"""What is asked of a store for large values, of a folder and of a bucket of S3 alike."""

from __future__ import annotations

import os
import time
import urllib.request
from collections.abc import Iterator
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
from tests.offload.conftest import MB
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
