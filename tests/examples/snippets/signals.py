"""What the reader of docs/how-to/signals.md has at hand."""

from stepflow import Context, Stepflow

app = Stepflow()


@app.workflow("cart")
async def cart(ctx: Context, user: int) -> None:
    await ctx.wait_for_signal("checkout")


async def check(h, space):
    assert space["answer"] == "started"
    assert [(mail.name, mail.payload) for mail in await h.client.mailbox("cart-7")] == [
        ("add", {"sku": "apple"}), ("add", {"sku": "pear"}), ("price", 12.5),
    ]  # fmt: skip
