"""
Two customers, one of whom has much to do: they take turns, and neither runs its import twice.

    python examples/21_turns.py

A run with a lane waits for the turn of that lane. A run with the key of a singleton is the run that
lives with that key, however often it is submitted.
"""

import subprocess
import sys
import time

from stepflow import RunSpec, Step, Stepflow, Succeed

app = Stepflow()


@app.runner("render")
async def render(step: Step) -> Succeed:
    return Succeed(time.time())


def main() -> None:
    client = app.client
    large = [RunSpec("render", n, lane="large") for n in range(40)]
    small = [RunSpec("render", n, lane="small") for n in range(4)]
    runs = client.submit_many([*large, *small])
    first = client.submit("render", 1, singleton="import:small", delay=0.2)
    again = client.submit("render", 2, singleton="import:small")
    print("one import:", first.id == again.id)

    command = [sys.executable, "-m", "stepflow", "worker", "examples.21_turns:app"]
    worker = subprocess.Popen([*command, "--concurrency", "1"])
    try:
        begun = [run.result(50) for run in runs]
        first.wait(50)
    finally:
        worker.terminate()
        worker.wait()
    before = sum(at < max(begun[40:]) for at in begun[:40])
    print(f"the small one was through after {before} of the 40 of the large one")


if __name__ == "__main__":
    main()
