"""
The programs that the attacks start and kill: `python -m tests.crash.support.process
worker|supervisor|submit|group|retry|cancel ...`.

They are the shortest way to `stepflow.entry.work` and `stepflow.supervisor.supervise`, so that what
is killed is the runtime and not a command line round it.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import random
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from stepflow import Client, RunSpec
from stepflow.core.ids import check_run_id
from stepflow.engine.env import Env
from stepflow.entry import load_app, work
from stepflow.errors import StepflowError
from stepflow.settings import load_settings
from stepflow.store.connection.address import Address
from stepflow.store.connection.sync import SyncConnection, carry_out
from stepflow.store.keys import Keys
from stepflow.supervisor import supervise
from stepflow.worker.recover import recover_worker
from stepflow.worker.worker import WorkerOptions, new_worker_name
from tests.crash.support import probing

APP = "tests.crash.support.odd:app"
#: of a member of a group
PAYLOAD = {"steps": 1, "trail": []}


def main() -> int:
    probing.arm()
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=list(PROGRAMS))
    parser.add_argument("--name", default=None)
    parser.add_argument("--app", default=APP)
    parser.add_argument("--queue", action="append")
    parser.add_argument("--concurrency", type=int, default=20)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--burst", action="store_true")
    parser.add_argument("--runs", nargs="*", default=[])
    parser.add_argument("--prefix", default="killed")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    logging.basicConfig(
        level=logging.INFO,
        stream=sys.stderr,
        format="%(asctime)s %(process)d %(levelname)s %(name)s %(message)s",
    )
    logging.getLogger("rq").setLevel(logging.WARNING)
    try:
        return PROGRAMS[options.what](options)
    except StepflowError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def _work(options: argparse.Namespace) -> int:
    name = options.name or new_worker_name()
    return work(
        load_app(options.app),
        WorkerOptions(options.queue or ["default"], options.concurrency, options.burst, name),
    )


def _supervise(options: argparse.Namespace) -> int:
    settings = load_settings()
    assert settings.redis.url is not None
    env = Env(Keys(settings.redis.namespace), settings)
    connection = SyncConnection.to(Address.parse(settings.redis.url))
    command = [
        sys.executable,
        "-m",
        "tests.crash.support.process",
        "worker",
        "--concurrency",
        str(options.concurrency),
    ]

    def recover(name: str) -> None:
        carry_out(connection, recover_worker(name, env))

    return supervise(command, processes=options.processes, recover=recover)


def _submit(options: argparse.Namespace) -> int:
    """
    Submit one by one, then many at once, for as long as it is left alive; says on stdout how far it
    is.
    """
    client = Client()
    payload = {"steps": 2, "trail": []}
    check_run_id(options.prefix)
    for number in range(20):
        client.submit("chain", payload, run_id=f"{options.prefix}-one-{number}")
        print(f"one {number}", flush=True)
    serial = 0
    while True:
        specs = [
            RunSpec("chain", payload, run_id=f"{options.prefix}-{serial + n}")
            for n in range(options.count)
        ]
        client.submit_many(specs)
        serial += options.count
        print(f"many {serial}", flush=True)


def _group(options: argparse.Namespace) -> int:
    """Submit so many members as one group; says on stdout how many there are."""
    members = {f"m{number:06}": RunSpec("chain", PAYLOAD) for number in range(options.count)}
    info = Client().groups.submit(options.prefix, members)
    print(f"group of {info.total}", flush=True)
    return 0


def _retry(options: argparse.Namespace) -> int:
    """Retry the failed members of a group."""
    print(f"{Client().groups.retry_failed(options.prefix)} are retried", flush=True)
    return 0


def _cancel(options: argparse.Namespace) -> int:
    """
    Cancel each run at a random moment, and once more; prints what each call answered, after all
    that is logged.
    """
    dice, client, answers = random.Random(options.seed), Client(), []

    async def storm() -> None:
        async def one(run_id: str) -> None:
            for _ in range(2):
                await asyncio.sleep(dice.random() * 0.7)
                said = await asyncio.to_thread(client.cancel, run_id, "storm")
                answers.append(f"{run_id} {said} {time.time():.3f}")

        await asyncio.gather(*(one(run_id) for run_id in options.runs))

    asyncio.run(storm())
    print("\n".join(answers), flush=True)
    return 0


def _signal_start(options: argparse.Namespace) -> int:
    """Send signals that start their runs, several at once, for as long as it is left alive."""
    client = Client()

    def send(number: int) -> None:
        for serial in range(options.count):
            client.signal(f"{options.prefix}-{number}-{serial}", "word", 7, start=RunSpec("mail"))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(send, range(4)))
    return 0


PROGRAMS = {
    "worker": _work,
    "supervisor": _supervise,
    "submit": _submit,
    "group": _group,
    "retry": _retry,
    "cancel": _cancel,
    "signal_start": _signal_start,
}

if __name__ == "__main__":
    sys.exit(main())
