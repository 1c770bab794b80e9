"""What the reader of docs/groups.md has at hand."""

from stepflow import Client, Context, GroupInfo, RunSpec, Stepflow

app = Stepflow()


@app.workflow("load")
async def load(ctx: Context, customer: str) -> str:
    return customer


async def check(h, space):
    info = await space["begin"](h.client, "2026-11-25", ["acme", "umbrella"])
    await h.settle()
    info = await h.client.groups.wait(info.id, timeout=1)
    assert (info.state, info.succeeded) == ("succeeded", 2)
    assert await space["again"](h.client, info.id) == 0


__all__ = ["Client", "GroupInfo", "RunSpec"]
