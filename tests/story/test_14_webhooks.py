"""A webhook tells another service, signed the Standard Webhooks way."""

from stepflow import Step, Succeed, Webhook
from tests.hooks.receiver import Receiver

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


async def test_a_webhook_arrives_signed(app, client, working, away):
    """[C31]"""

    @app.runner("order")
    async def order(step: Step):
        return Succeed({"total": 5})

    async with Receiver() as receiver, working(app):
        await away(
            lambda: client.submit("order", run_id="o1", webhooks=[Webhook(receiver.url, SECRET)])
        )
        [request] = await receiver.arrived(1)
    body = request.verified(SECRET)
    assert (body["type"], body["data"]["run_id"], body["data"]["result"]) == (
        "run.succeeded",
        "o1",
        {"total": 5},
    )
