"""What must not be done twice is remembered between attempts."""

from stepflow import RetryPolicy, Step, Succeed


async def test_a_memo_survives_the_attempt_that_wrote_it(app, client, working, away):
    """[C15] And `step.key` is what to hand to a payment API, so that it knows a second request."""
    charged = []

    @app.runner("pay", retry=RetryPolicy(initial=0.01))
    async def pay(step: Step):
        receipt = await step.memo.get("receipt")
        if receipt is None:
            charged.append(step.key)
            receipt = f"receipt for {step.payload}"
            await step.memo.put("receipt", receipt)
            raise ConnectionError("the line broke after the charge")
        return Succeed(receipt)

    async with working(app):
        run = await away(client.submit, "pay", 100)
        assert await away(run.result, 10) == "receipt for 100"
    assert len(charged) == 1
