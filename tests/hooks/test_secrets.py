"""
Secrets, tokens and passwords go to their receiver and nowhere else: no log line, no verdict, no
error, no repr.
"""

import logging
from datetime import UTC, datetime

import pytest

from stepflow.errors import StepflowError
from stepflow.hooks import Webhook
from stepflow.hooks.deliver import Deliverer
from stepflow.hooks.ssrf import check_url
from stepflow.settings import WebhookSettings

from .receiver import Behaviour, Receiver, gibberish, hang_up, reply, unused_port

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OLD = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
HIDDEN = ("MfKQ9r8", "C2FVsBQ", "t0ken", "p4ss")
BODY = b'{"p4ss": 1}'


def webhook_to(port: int) -> Webhook:
    url = f"http://127.0.0.1:{port}/hook?key=t0ken"
    return Webhook(url, SECRET, previous_secret=OLD, headers={"authorization": "Bearer p4ss"})


@pytest.mark.parametrize(
    "behaviour", [reply(200), reply(500), reply(302, {"location": "/?key=t"}), hang_up, gibberish]
)
async def test_no_log_line_and_no_verdict_holds_a_secret(
    deliverer: Deliverer, caplog: pytest.LogCaptureFixture, behaviour: Behaviour
) -> None:
    caplog.set_level(logging.DEBUG)
    async with Receiver(behaviour) as receiver:
        verdict = await deliverer.deliver(webhook_to(receiver.port), "hk1", BODY, datetime.now(UTC))
        got = receiver.got[0]
    assert "t0ken" in got.path
    assert "p4ss" in got.headers["authorization"], "they did go to the receiver"
    assert caplog.text, "something is logged at this level, so that a secret could be in it"
    assert not any(word in text for word in HIDDEN for text in (caplog.text, repr(verdict)))
    assert got.headers["webhook-signature"] not in caplog.text
    assert "whsec_echo" not in verdict.why, "nor what a receiver writes into its answer"


async def test_a_failure_to_connect_and_a_refusal_hold_no_secret(
    deliverer: Deliverer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    webhook = webhook_to(unused_port())
    told = [repr(await deliverer.deliver(webhook, "hk1", BODY, datetime.now(UTC)))]
    async with Deliverer(WebhookSettings()) as closed:
        told.append(repr(await closed.deliver(webhook, "hk1", BODY, datetime.now(UTC))))
    assert not any(word in text for word in HIDDEN for text in (caplog.text, *told))


@pytest.mark.parametrize(
    "url",
    [
        "http://me:p4ss@example.com/?key=t0ken",
        "http://10.0.0.1/?key=t0ken",
        "http://example.com:99999/?key=t0ken",
        "ftp://example.com/?key=t0ken",
        "http://exa mple.com/?key=t0ken",
        "http://me:p4ss/word@example.com",
        "http:/example.com/?key=t0ken",
        "t0ken",
    ],
)
def test_no_error_about_a_url_holds_a_secret(url: str) -> None:
    with pytest.raises(StepflowError) as caught:
        check_url(Webhook(url, SECRET).url)
    assert not any(word in f"{caught.value!r} {caught.value}" for word in HIDDEN)


def test_no_repr_holds_a_secret() -> None:
    webhook = webhook_to(80)
    assert not any(
        word in text
        for word in HIDDEN
        for text in (repr(webhook), str(webhook), repr(webhook.target))
    )
    assert SECRET in str(webhook.as_dict()), "stored it is whole"
