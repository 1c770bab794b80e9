"""One AsyncClient at the top of a module, and programs that make event loops of their own."""

import asyncio
import gc
import os
import subprocess
import sys
import threading
import weakref
from pathlib import Path

import pytest
import uvloop
from fastapi import FastAPI

from stepflow import AsyncClient, Client, Stepflow
from tests.support import until_blocking

pytestmark = pytest.mark.crash  # importing fastapi takes a second

ROOT = Path(__file__).parents[2]


@pytest.fixture
def shared(url, settings):
    """A client made where no loop runs, as at the top of a module."""
    return AsyncClient(url, settings=settings)


@pytest.fixture
def connections(real):
    """Ask for the connections that the server has beside those at the beginning."""

    def ids():
        return {client["id"] for client in real.client_list()}

    before = ids()
    return lambda: ids() - before


def descriptors():
    return len(list(Path("/dev/fd").iterdir()))


def test_one_client_serves_one_loop_after_the_other(shared, connections):
    """[U14]"""
    for number in range(3):
        assert asyncio.run(shared.submit("x", number, run_id=f"r{number}")).created
    assert [run.id for run in asyncio.run(shared.list())] == ["r2", "r1", "r0"]
    until_blocking(lambda: not connections())


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_connections_of_many_loops_are_closed_with_them(shared, connections, run):
    """[U14] Neither sockets nor loops stay behind, nor does a listening connection."""

    async def submit_and_wait(number):
        submitted = await shared.submit("x", number)
        waiting = asyncio.ensure_future(submitted.wait(60))
        await asyncio.sleep(0)
        await submitted.cancel()
        await waiting
        return weakref.ref(asyncio.get_running_loop())

    run(submit_and_wait(0))
    before = descriptors()
    loops = [run(submit_and_wait(number)) for number in range(30)]
    assert len(shared._per_loop) == 0
    gc.collect()
    assert [loop() for loop in loops] == [None] * 30
    assert descriptors() <= before
    until_blocking(lambda: not connections())


def test_what_a_loop_left_that_was_closed_rudely_is_dropped_by_the_next_one(shared, connections):
    """[U14] No generator of that loop was shut down, so nothing ran when it ended."""
    for number in range(3):
        loop = asyncio.new_event_loop()
        loop.run_until_complete(shared.submit("x", number))
        loop.close()
        assert len(shared._per_loop) == 1
    asyncio.run(shared.list())
    assert len(shared._per_loop) == 0
    until_blocking(lambda: not connections())


def test_loops_of_several_threads_use_one_client_at_a_time(shared):
    """[U14] One of them closes it, which the others do not feel."""
    both = threading.Barrier(2)
    ended = []

    async def submit(name):
        await shared.submit("x", name, run_id=f"{name}1")
        await asyncio.to_thread(both.wait, 20)
        if name == "a":
            await shared.close()
        await asyncio.to_thread(both.wait, 20)
        run = await shared.submit("x", name, run_id=f"{name}2")
        ended.append((await run.status()).id)

    threads = [
        threading.Thread(target=asyncio.run, args=(submit(name),), daemon=True) for name in "ab"
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(ended) == ["a2", "b2"]


def test_closing_a_client_on_a_loop_that_never_used_it_is_safe(shared):
    """[U14]"""
    with asyncio.Runner() as first, asyncio.Runner() as second:
        first.run(shared.submit("x", run_id="r"))
        second.run(shared.close())
        assert first.run(shared.status("r")).id == "r"
        first.run(shared.close())
        first.run(shared.close())
        assert first.run(shared.status("r")).id == "r"


def test_the_apps_async_client_is_one_for_all_loops(url, settings):
    """[U14]"""
    app = Stepflow(url, settings=settings)
    client = app.async_client

    @app.job
    def add(a: int, b: int) -> int:
        return a + b

    first = asyncio.run(add.submit(1, 2))
    second = asyncio.run(add.submit(3, 4))
    assert app.async_client is client
    assert {run.id for run in asyncio.run(client.list())} == {first.id, second.id}


@pytest.mark.filterwarnings("ignore:Using `httpx`")  # starlette would like another one
def test_the_test_client_of_fastapi_makes_a_loop_for_each_request(shared, url, settings):
    """[U14] Without its `with`; and one loop for all of them with it."""
    from fastapi.testclient import TestClient

    api = FastAPI()

    @api.post("/runs/{run_id}")
    async def submit(run_id: str):
        return {"created": (await shared.submit("x", run_id=run_id)).created}

    http = TestClient(api)
    assert [http.post("/runs/one").json()["created"] for _ in range(3)] == [True, False, False]
    with TestClient(api) as http:
        assert [http.post("/runs/two").json()["created"] for _ in range(3)] == [True, False, False]
    with Client(url, settings=settings) as client:
        assert {run.id for run in client.list()} == {"one", "two"}


DJANGO = """
import gc, sys, warnings
warnings.simplefilter("error", ResourceWarning)
sys.unraisablehook = lambda unraisable: sys.exit(repr(unraisable.exc_value))

import django
from django.conf import settings
settings.configure(
    ALLOWED_HOSTS=["*"], ROOT_URLCONF="__main__", SECRET_KEY="x", USE_TZ=True, MIDDLEWARE=[]
)
django.setup()

from asgiref.sync import async_to_sync
from django.http import JsonResponse
from django.test import AsyncClient as AsyncBrowser, Client as Browser
from django.urls import path
from stepflow import AsyncClient

client = AsyncClient(sys.argv[1])

async def submit(request, run_id):
    return JsonResponse({"created": (await client.submit("x", run_id=run_id)).created})

async def ask(run_id):
    return [(await AsyncBrowser().get(f"/runs/{run_id}")).json()["created"] for _ in range(2)]

urlpatterns = [path("runs/<run_id>", submit)]
print([Browser().get("/runs/sync").json()["created"] for _ in range(2)])
print(async_to_sync(ask)("async"))
gc.collect()
print(len(client._per_loop))
"""


def test_async_views_of_django_share_a_client(url, tmp_path):
    """[U14] A WSGI server runs each async view on a loop of its own."""
    (tmp_path / "site_of_ours.py").write_text(DJANGO)
    done = subprocess.run(
        [sys.executable, tmp_path / "site_of_ours.py", url],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.stderr, done.returncode) == ("", 0)
    assert done.stdout.splitlines() == ["[True, False]", "[True, False]", "0"]
