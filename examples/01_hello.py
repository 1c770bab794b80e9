"""
Hello: a runner, a worker, a result.

    python examples/01_hello.py

With no REDIS_URL set this starts a server of its own in ./.stepflow. The worker is a process of its
own, started here as `stepflow worker examples.01_hello:app`; a module whose name begins with a
digit cannot be imported by a statement, but `stepflow worker` loads it by name.
"""

import subprocess
import sys

from stepflow import Continue, Step, Stepflow, Succeed

app = Stepflow()


@app.runner("countdown")
async def countdown(step: Step):
    left = step.payload["left"]
    if left == 0:
        return Succeed(f"lift-off after {step.number} steps")
    return Continue({"left": left - 1}, delay=0.1)  # the next step gets this payload


def main() -> None:
    worker = subprocess.Popen([sys.executable, "-m", "stepflow", "worker", "examples.01_hello:app"])
    try:
        run = app.client.submit("countdown", {"left": 3}, run_id="apollo-11")
        print(
            "created:", run.created
        )  # False when you start this a second time: the run is kept for a week
        print("result: ", run.result(timeout=30))

        again = app.client.submit(
            "countdown", {"left": 3}, run_id="apollo-11"
        )  # the same run: nothing happens twice
        print("created:", again.created)
        print("state:  ", again.status().state)
    finally:
        worker.terminate()
        worker.wait()


if __name__ == "__main__":
    main()
