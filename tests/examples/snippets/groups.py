"""What the reader of docs/how-to/groups.md has at hand."""

from stepflow import Client, GroupInfo, RunSpec, Stepflow

app = Stepflow()


@app.job(name="load")
def load(customer: str) -> str:
    if customer == "broken":
        raise ValueError(customer)
    return customer


async def check(h, space):
    info = await space["begin"](h.client, "2026-11-25", ["acme", "umbrella"])
    await h.run_until_idle()
    info = await h.client.groups.wait(info.id, timeout=1)
    assert (info.state, info.succeeded) == ("succeeded", 2)
    assert await space["again"](h.client, info.id) == 0


__all__ = ["Client", "GroupInfo", "RunSpec"]
