"""
A wait that asks again and again: start a job somewhere else, look now and then whether it is done.

    python examples/09_poll.py

`ctx.poll` tries a function until it gives something other than None. Between two looks no worker
holds the run, so it may go on for days; what was found is remembered, and after a crash it goes on
looking where it stopped.
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
        raise ConnectionError(
            "the service does not answer"
        )  # the third failure in a row would be raised
    return f"{job}.mp4, after {looks[job]} looks" if looks[job] == 4 else None


@app.workflow("film")
async def film(ctx: Context, title: str) -> str:
    job = await ctx.step("start", start_render, title)
    found = await ctx.poll(
        "look", look_at, job, every=0.2, timeout=3600
    )  # seconds; None after an hour
    if found is None:
        return "gave up"
    return found


def main() -> None:
    worker = subprocess.Popen([sys.executable, "-m", "stepflow", "worker", "examples.09_poll:app"])
    try:
        run = app.client.submit("film", "tides")
        print(run.result(timeout=30))
    finally:
        worker.terminate()
        worker.wait()


if __name__ == "__main__":
    main()
