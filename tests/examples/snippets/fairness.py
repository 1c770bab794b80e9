"""What the reader of docs/how-to/queues/fairness.md has at hand."""

from stepflow import Continue, Debounce, Step, Stepflow, Succeed

app = Stepflow()


async def work(step: Step):
    return Succeed(step.payload)


@app.runner("sync")
async def sync(step: Step):
    return Succeed() if step.number else Continue(delay=60)


for name in ("report", "reset-password", "search"):
    app.runner(name)(work)


async def check(h, space):
    status = await h.status(space["run"].id)
    assert (status.state, status.payload) == ("scheduled", {"text": "tides"})


__all__ = ["Debounce"]
