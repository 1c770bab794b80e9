"""Who sent it: Standard Webhooks signatures, checked by the library a receiver would use."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
import standardwebhooks

from stepflow.errors import InvalidOption
from stepflow.hooks import Webhook
from stepflow.hooks.signature import signed_headers

NEW = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OLD = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
BODY = b'{"test": 2432232314}'


def verify(secret: str, headers: dict[str, str], body: bytes = BODY) -> None:
    standardwebhooks.Webhook(secret).verify(body, headers)


def test_the_signature_is_that_of_the_standard() -> None:
    """The example of the Standard Webhooks specification."""
    at = datetime.fromtimestamp(1614265330, UTC)
    assert signed_headers(
        Webhook("https://example.com", NEW), "msg_p5jXN8AQM9LWM0D4loKWxJek", BODY, at
    ) == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_while_secrets_are_changed_a_receiver_may_know_either() -> None:
    webhook = Webhook("https://example.com", NEW, previous_secret=OLD)
    headers = signed_headers(webhook, "h1", BODY, datetime.now(UTC))
    assert len(headers["webhook-signature"].split(" ")) == 2
    verify(NEW, headers)
    verify(OLD, headers)


def test_another_secret_body_or_id_is_noticed() -> None:
    headers = signed_headers(Webhook("https://example.com", NEW), "h1", BODY, datetime.now(UTC))
    verify(NEW, headers)
    for secret, changed, body in (
        (OLD, headers, BODY),
        (NEW, headers, BODY + b" "),
        (NEW, headers | {"webhook-id": "h2"}, BODY),
    ):
        with pytest.raises(standardwebhooks.WebhookVerificationError):
            verify(secret, changed, body)


def test_without_a_secret_there_is_no_signature() -> None:
    assert set(signed_headers(Webhook("https://example.com"), "h1", BODY, datetime.now(UTC))) == {
        "webhook-id",
        "webhook-timestamp",
    }


def test_the_zone_of_now_does_not_matter_but_it_needs_one() -> None:
    webhook, now = Webhook("https://example.com", NEW), datetime.now(UTC)
    elsewhere = now.astimezone(timezone(timedelta(hours=9)))
    assert signed_headers(webhook, "h1", BODY, elsewhere) == signed_headers(
        webhook, "h1", BODY, now
    )
    verify(NEW, signed_headers(webhook, "h1", BODY, elsewhere))
    with pytest.raises(InvalidOption, match="time zone"):
        signed_headers(webhook, "h1", BODY, now.replace(tzinfo=None))


def test_any_json_body_can_be_signed() -> None:
    webhook, body = Webhook("https://example.com", NEW), '{"a":"\u2713"}'.encode()
    verify(NEW, signed_headers(webhook, "h1", body, datetime.now(UTC)), body)
