"""
The app under attack. Every step proves its place: it is handed the numbers of the steps before it
and adds its own.

A step committed twice, skipped, or committed on top of another's payload shows in the trail, which
the result and the run's own key-value space carry, apart from the step records that the runtime
writes.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path
from typing import Any

from stepflow import (
    Continue,
    Fail,
    Outcome,
    PermanentError,
    RetryPolicy,
    Step,
    Stepflow,
    Succeed,
    TransientError,
)

#: seconds this module takes to import: a window for killing a stock worker between its pop and its
#: claim
time.sleep(float(os.environ.get("CRASH_SLOW_IMPORT", "0")))

QUICK = RetryPolicy(max_attempts=5, initial=0.05, max_delay=0.2)
WITNESS = os.environ.get("CRASH_WITNESS")

app = Stepflow()


def witness(step: Step[Any], word: str) -> None:
    """
    Append one line to the file that all workers share: what user code really did, commits or not.
    """
    if WITNESS is not None:
        with Path(WITNESS).open("a") as file:
            file.write(f"{step.run_id} {step.number} {step.attempt} {os.getpid()} {word}\n")


def walked(step: Step[Any], **options: Any) -> Outcome:
    """Go on to the next step, or end after the last one."""
    trail = [*step.payload["trail"], step.number]
    if trail != list(range(step.number + 1)):
        return Fail(f"step {step.number} was handed the trail {step.payload['trail']}")
    step.effects.put(f"step-{step.number}", step.key)
    step.effects.put("count", len(trail))
    if len(trail) == step.payload["steps"]:
        return Succeed({"trail": trail})
    return Continue({**step.payload, "trail": trail}, **options)


def path(steps: int, **more: Any) -> dict[str, Any]:
    """
    Make the payload of a run of so many steps.

    With *gate* (`Cluster.gate`) a step of a runner that looks at it waits until it is let through.
    """
    return {"steps": steps, "trail": [], **more}


def is_let_through(step: Step[Any]) -> bool:
    """Look at the run's gate, a file with the number of the last step that it is open for."""
    gate = step.payload.get("gate")
    return gate is None or step.number <= int(Path(gate).read_text())


def block(step: Step[Any]) -> None:
    """Keep the thread until the step is let through."""
    while not is_let_through(step):
        time.sleep(0.01)


@app.runner("chain", retry=QUICK)
async def chain(step: Step[Any]) -> Outcome:
    witness(step, "begin")
    while not is_let_through(step):
        await asyncio.sleep(0.01)
    await asyncio.sleep(step.payload.get("pause", 0))
    return walked(step)


@app.runner("plain", retry=QUICK)
def plain(step: Step[Any]) -> Outcome:
    witness(step, "begin")
    time.sleep(step.payload.get("pause", 0))
    return walked(step)


@app.runner("delayed", retry=QUICK)
async def delayed(step: Step[Any]) -> Outcome:
    return walked(step, delay=step.payload.get("delay", 0.05))


@app.runner("flaky", retry=QUICK)
async def flaky(step: Step[Any]) -> Outcome:
    step.effects.put("half", step.attempt)
    if step.attempt <= step.payload.get("failing", 1):
        raise TransientError("not yet")
    step.effects.delete("other")
    return walked(step)


@app.runner("memo", retry=QUICK)
async def memo(step: Step[Any]) -> Outcome:
    """The first attempt that gets there leaves a note, a later one must find it."""
    if await step.memo.get("was here") is None:
        await step.memo.put("was here", step.number)
        await step.extend(5)
        raise TransientError("the note is written")
    if await step.memo.get("was here") != step.number:
        return Fail("the note of another step")
    return walked(step)


@app.runner("plain-memo", retry=QUICK)
def plain_memo(step: Step[Any]) -> Outcome:
    if step.memo.get("was here") is None:
        step.memo.put("was here", step.number)
        raise TransientError("the note is written")
    return walked(step)


@app.runner("endless")
async def endless(step: Step[Any]) -> Outcome:
    """Ends by a cancel only."""
    await asyncio.sleep(step.payload.get("pause", 0.01))
    return Continue({**step.payload, "trail": []})


@app.runner("listener")
async def listener(step: Step[Any]) -> Outcome:
    """Waits for its token."""
    witness(step, "begin")
    reason = await step.cancel.wait()
    witness(step, f"told-{reason or 'so'}")
    return Continue(step.payload)


@app.runner("verdict")
async def verdict(step: Step[Any]) -> Outcome:
    """Fails for good at its last step."""
    if step.number == step.payload["steps"] - 1:
        return Fail("as it was told")
    return walked(step)


@app.runner("broken", retry=QUICK)
async def broken(step: Step[Any]) -> Outcome:
    raise PermanentError("never")


@app.runner("hopeless", retry=RetryPolicy(max_attempts=3, initial=0.02, max_delay=0.05))
async def hopeless(step: Step[Any]) -> Outcome:
    raise TransientError("again")


@app.runner("poison")
async def poison(step: Step[Any]) -> Outcome:
    """Takes its worker with it."""
    witness(step, "begin")
    os.kill(os.getpid(), signal.SIGKILL)
    return Succeed()


@app.runner("blocker", step_timeout=0.5, retry=QUICK)
async def blocker(step: Step[Any]) -> Outcome:
    """Holds up the loop of the first worker that runs it, for longer than it may."""
    witness(step, "begin")
    if step.number == 0 and await step.memo.get("blocked") is None:
        await step.memo.put("blocked", 1)
        block(step)
    return walked(step)


@app.runner("overrun", step_timeout=0.3, retry=QUICK)
def overrun(step: Step[Any]) -> Outcome:
    """A function that overruns once, and then tries to write as the attempt it no longer is."""
    if step.attempt == 1:
        block(step)
        try:
            step.memo.put("ghost", 1)
            witness(step, "ghost-wrote")
        except BaseException as error:  # a lost claim is none that user code should swallow
            witness(step, f"ghost-{type(error).__name__}")
            raise
    elif step.memo.get("ghost") is not None:
        return Fail("a thread left behind has written")
    return walked(step)
