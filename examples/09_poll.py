"""
A poll: start a job somewhere else, and look now and then whether it is done.

    python examples/09_poll.py

`ctx.poll` calls a function until it returns something other than None. Between two calls the run
occupies no worker, so it may go on for days. Stepflow remembers what each call found, and goes on
after a crash where it stopped.
"""

import subprocess
import sys

from stepflow import Context, Stepflow

app = Stepflow()
looks: dict[str, int] = {}  # stands for a service elsewhere that takes its time


async def start_render(film: str) -> str:
    return f"render-{film}"


async def look_at(job: str) -> str | None:
    looks[job] = looks.get(job, 0) + 1
    if looks[job] == 2:
        raise ConnectionError("no answer")  # the third failure in a row would end the poll
    return f"{job}.mp4, after {looks[job]} looks" if looks[job] == 4 else None


@app.workflow("film")
async def film(ctx: Context, title: str) -> str:
    job = await ctx.step("start", start_render, title)
    found = await ctx.poll("look", look_at, job, every=0.2, timeout=3600)  # None after an hour
    return found or "gave up"


def main() -> None:
    command = [sys.executable, "-m", "stepflow", "worker", "examples.09_poll:app"]
    worker = subprocess.Popen(command)
    try:
        run = app.client.submit(film, "tides")
        print(run.result(timeout=30))
    finally:
        worker.terminate()
        worker.wait()


if __name__ == "__main__":
    main()
