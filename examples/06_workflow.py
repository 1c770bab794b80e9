"""
A workflow: plain sequential code that survives crashes, waits for a person, and reads in parallel.

    python examples/06_workflow.py

Stepflow remembers each `ctx.step`. After a crash, or when the answer comes days later, the function
runs again from the top: remembered steps answer at once, and it goes on where it stopped. A run
that waits occupies no worker.
"""

import asyncio
import subprocess
import sys

from stepflow import Context, RetryPolicy, Stepflow, TransientError

app = Stepflow()
calls: dict[str, int] = {}


async def plan(question: str) -> list[str]:
    return ["tides", "moon"]


async def read(topic: str) -> str:
    calls[topic] = calls.get(topic, 0) + 1
    if topic == "moon" and calls[topic] == 1:
        raise TransientError("the library is closed")  # tried again, this step alone
    return {"tides": "The moon pulls the sea.", "moon": "It goes round in 27 days."}[topic]


@app.workflow("research", retry=RetryPolicy(max_attempts=3, initial=0.1))
async def research(ctx: Context, question: str) -> str:
    topics = await ctx.step("plan", plan, question)
    notes = await asyncio.gather(*(ctx.step(f"read {topic}", read, topic) for topic in topics))
    answer = await ctx.wait_for_signal("review", timeout=3 * 86400)  # None after three days
    if not answer or not answer["approved"]:
        return "withdrawn"
    return " ".join(notes)


def main() -> None:
    command = [sys.executable, "-m", "stepflow", "worker", "examples.06_workflow:app"]
    worker = subprocess.Popen(command)
    try:
        run = app.client.submit(research, "why does the moon make tides?")
        app.client.signal(run.id, "review", {"approved": True})  # your web app would send this
        print("answer:", run.result(timeout=30))
    finally:
        worker.terminate()
        worker.wait()


if __name__ == "__main__":
    main()
