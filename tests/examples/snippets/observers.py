"""What the reader of docs/how-to/observers.md has at hand."""

from collections import Counter

from stepflow import Context, Stepflow

app = Stepflow("redis://unused")
seconds = Counter()


class Chat:
    async def send(self, text):
        del text


chat = Chat()


def charge(number):
    return number


@app.workflow
async def order(ctx: Context, number: int) -> None:
    await ctx.step(charge, number)


async def check(h, space):
    await space["test_it_charges_once"]()
    assert space["seen"].names[0] == "on_run_submitted"
    assert space["seen"].names[-1] == "on_ended"
