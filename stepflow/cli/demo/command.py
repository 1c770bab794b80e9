"""
`stepflow demo`: the whole story in under a minute, with a proof at its end.

A Redis of its own, two worker processes, a webhook receiver and a dozen runs of `pipeline`; one
worker is killed with SIGKILL in the middle. Nothing here is special to a demo: it uses the client,
the command line and the checks of `checks` as you would.
"""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from stepflow.cli.context import CliContext, common_options, pass_context
from stepflow.cli.errors import Exit, Problem

if TYPE_CHECKING:
    from stepflow.cli.demo.checks import Evidence
    from stepflow.cli.demo.receiver import Receiver
    from stepflow.cli.demo.view import View
    from stepflow.client import Client
    from stepflow.settings import Settings

#: what each run is: its name here, its payload, when it starts, how it should end
KINDS: dict[str, tuple[str, dict[str, float], float, str]] = {
    **{f"demo-{number:02}": ("plain", {}, 0.0, "succeeded") for number in range(1, 10)},
    "demo-10": ("flaky", {"flaky": 2}, 0.0, "succeeded"),
    "demo-11": ("delayed", {"rest": 1.5}, 1.0, "succeeded"),
    "demo-12": ("cancelled midway", {"pace": 1.5}, 0.0, "cancelled"),
}
#: the receiver's network: workers refuse to call their own machine unless it is opened to them
ALLOWED = "127.0.0.0/8,::1/128"
#: the variable of the workers that has the secret of the webhooks
VARIABLE = "DEMO_WEBHOOK_SECRET"
#: seconds between two looks, and until the demo gives up
LOOK_S, PATIENCE_S = 0.15, 50.0


@click.command("demo", short_help="Run a pipeline, kill a worker, check that nothing was lost.")
@common_options
@pass_context
def demo_command(context: CliContext) -> int:
    """Run an agent-like pipeline on two workers, kill one, and check that nothing was lost."""
    from stepflow import embedded
    from stepflow.cli.demo.checks import read_writes
    from stepflow.cli.demo.receiver import Receiver
    from stepflow.cli.demo.view import View
    from stepflow.client import Client

    secret = "whsec_" + b64encode(secrets.token_bytes(24)).decode()
    with tempfile.TemporaryDirectory(prefix="stepflow-demo-") as folder:
        home = Path(folder)
        server = embedded.ensure(home / "redis")
        try:
            with (
                View({run_id: kind[0] for run_id, kind in KINDS.items()}) as view,
                Receiver(secret) as receiver,
            ):
                view.say(server.describe())
                with Client(
                    server.url, namespace="stepflow", settings=settings_of(context)
                ) as client:
                    with two_workers(server.url, home, secret):
                        evidence = tell_story(client, receiver, view)
                    evidence.lasting_keys, evidence.writes = (
                        lasting_keys(client),
                        read_writes(server.home),
                    )
            return report(evidence, context)
        finally:
            embedded.release(home / "redis")


@contextmanager
def two_workers(url: str, home: Path, secret: str) -> Iterator[None]:
    """
    Run `stepflow worker`, two processes under a supervisor, and log to a file.

    After the block it stops them with SIGTERM, as an operator would.
    """
    command = (
        "-m stepflow worker stepflow.cli.demo.pipeline:app --processes 2 --concurrency 4 "
        "--log-level info"
    )
    kept = {name: value for name, value in os.environ.items() if not name.startswith("STEPFLOW_")}
    settings = {"STEPFLOW_REDIS_URL": url, "STEPFLOW_WEBHOOK_ALLOW_CIDRS": ALLOWED}
    path = os.pathsep.join(
        [str(Path(__file__).parents[3]), *filter(None, [os.environ.get("PYTHONPATH")])]
    )
    with (home / "workers.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, *command.split()], cwd=home, stdout=log, stderr=log,
            start_new_session=True, env={**kept, **settings, VARIABLE: secret, "PYTHONPATH": path},
        )  # fmt: skip
        try:
            yield
        except Problem as problem:
            raise Problem(
                f"{problem.message}; the workers' log:\n{tail(home / 'workers.log')}", problem.code
            ) from None
        finally:
            process.terminate()
            process.wait()
    if process.returncode != 0:
        raise Problem(
            f"the workers ended with {process.returncode}; their log:\n{tail(home / 'workers.log')}"
        )


def tail(path: Path) -> str:
    """Return the last lines of a file."""
    return "\n".join(path.read_text(errors="replace").splitlines()[-20:])


def tell_story(client: Client, receiver: Receiver, view: View) -> Evidence:
    """
    Submit the runs, kill a worker, cancel a run, and wait for the end of all.

    Returns what the checks look at.
    """
    from stepflow.cli.demo.checks import Evidence
    from stepflow.engine.inspect import steps
    from stepflow.hooks import Webhook
    from stepflow.store.connection.sync import carry_out

    until(lambda: len(client.workers()) == 2, "two workers")  # noqa: PLR2004 - as its sentence says
    for run_id, (_, payload, delay, _) in KINDS.items():
        hook = Webhook(receiver.url, secret_env=VARIABLE)
        client.submit(
            "research", {"topic": run_id, **payload}, run_id=run_id, delay=delay, webhooks=[hook]
        )
    view.say(f"submitted {len(KINDS)} runs of plan, search, read, write to two workers")
    killed, killed_at, cancelled = "", 0.0, False
    began = time.monotonic()
    while True:
        runs = client.list(limit=len(KINDS)).runs
        view.show(runs, receiver.arrived)
        if all(run.is_finished for run in runs) and len(receiver.arrived) == len(KINDS):
            break
        if time.monotonic() - began > PATIENCE_S:
            view.say(f"giving up after {PATIENCE_S:g} s: the checks say what is missing")
            break
        last = next(run for run in runs if run.id == "demo-12")
        if not cancelled and last.step >= 1 and last.worker:
            cancelled = client.cancel("demo-12", "the demo cancels this one half way")
            view.say("cancelled demo-12 in the middle of its second step")
        holders = Counter(
            run.worker for run in runs if run.worker and run.step >= 1 and run.id != "demo-12"
        )
        if not killed and holders:
            killed, killed_at = kill(client, holders, view)
        time.sleep(LOOK_S)
    view.show(client.list(limit=len(KINDS)).runs, receiver.arrived)
    return Evidence(
        {run_id: end for run_id, (*_, end) in KINDS.items()},
        {run.id: run for run in runs},
        {run.id: carry_out(client.connection, steps(run.id, client.env)) for run in runs},
        receiver,
        killed_at,
        killed,
    )


def kill(client: Client, holders: Counter[str], view: View) -> tuple[str, float]:
    """Kill the worker that runs the most steps with SIGKILL, as the kernel's OOM killer would."""
    name, count = holders.most_common(1)[0]
    victim = next(worker for worker in client.workers() if worker.name == name)
    at = time.time()
    os.kill(victim.pid, signal.SIGKILL)
    view.say(
        f"killed worker {view.letter(name)} (pid {victim.pid}) with SIGKILL in the middle of "
        f"{count} steps"
    )
    return name, at


def until(holds: Callable[[], bool], what: str) -> None:
    """Wait until *holds* returns True."""
    end = time.monotonic() + PATIENCE_S
    while not holds():
        if time.monotonic() > end:
            raise Problem(f"{what} did not come up within {PATIENCE_S:g} s", Exit.TIMED_OUT)
        time.sleep(LOOK_S)


def settings_of(context: CliContext) -> Settings:
    """Return settings by which the client may register webhooks of this machine."""
    settings = context.settings()
    webhook = settings.webhook.model_copy(update={"allow_cidrs": tuple(ALLOWED.split(","))})
    return settings.model_copy(update={"webhook": webhook})


def lasting_keys(client: Client) -> list[str]:
    """Return the keys that stay in Redis for ever."""
    from stepflow.engine.inspect import lasting_keys as plan
    from stepflow.store.connection.sync import carry_out

    return carry_out(client.connection, plan())


def report(evidence: Evidence, context: CliContext) -> int:
    """Print what was checked, and what the kill cost."""
    from stepflow.cli.demo.checks import check_all, done_again, pick_ups

    findings, lost = check_all(evidence), pick_ups(evidence)
    retries = sum(step.outcome == "raised" for steps in evidence.steps.values() for step in steps)
    cost = {
        "steps": len(lost),
        "handed_over_s": max(lost.values(), default=0.0),
        "done_again_s": done_again(evidence),
    }
    ok = all(finding.holds for finding in findings)
    if context.json:
        checks = [
            {"claim": finding.claim, "holds": finding.holds, "problems": finding.problems}
            for finding in findings
        ]
        context.output.data({"ok": ok, "checks": checks, "kill": cost, "retries": retries})
        return Exit.OK if ok else Exit.ERROR
    for finding in findings:
        click.secho(
            f"{'ok  ' if finding.holds else 'FAIL'}  {finding.claim}",
            fg="green" if finding.holds else "red",
        )
        for problem in finding.problems:
            click.echo(f"        {problem}")
    click.echo(
        f"\nThe kill cost {cost['steps']} steps begun again: handed over after "
        f"{cost['handed_over_s']:.2f} s, done by others after {cost['done_again_s']:.2f} s. "
        f"The flaky search was tried again {retries} times."
    )
    if ok:
        click.echo(
            "Read how it is written: stepflow/cli/demo/pipeline.py, then "
            "stepflow/cli/demo/command.py."
        )
    return Exit.OK if ok else Exit.ERROR
