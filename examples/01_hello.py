"""
Hello: a runner, a worker, a result.

    python examples/01_hello.py

With no REDIS_URL set, stepflow starts a server of its own in ./.stepflow. The worker is another
process: `stepflow worker examples.01_hello:app` starts the same one from your shell.
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
    command = [sys.executable, "-m", "stepflow", "worker", "examples.01_hello:app"]
    worker = subprocess.Popen(command)
    try:
        run = app.client.submit("countdown", {"left": 3}, run_id="apollo-11")
        # False when you start this a second time: Redis keeps the run for a week
        print("created:", run.created)
        print("result: ", run.result(timeout=30))

        # the same id and input is the same run: nothing happens twice
        again = app.client.submit("countdown", {"left": 3}, run_id="apollo-11")
        print("created:", again.created)
        print("state:  ", again.status().state)
    finally:
        worker.terminate()
        worker.wait()


if __name__ == "__main__":
    main()
