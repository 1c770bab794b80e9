"""Deliveries over TLS: the address is ours to choose, the certificate must still be the host's."""

import ssl
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
import trustme

from stepflow.hooks import Webhook
from stepflow.hooks.deliver import Deliverer
from stepflow.hooks.response import Verdict, VerdictKind
from stepflow.settings import WebhookSettings

from .receiver import Receiver

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """An authority made for these tests."""
    return trustme.CA()


@pytest.fixture
def trusting(authority: trustme.CA) -> ssl.SSLContext:
    """Trust that authority and no other."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


def serving(
    authority: trustme.CA, identity: str, seen: list[str | None] | None = None
) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(identity).configure_cert(context)
    if seen is not None:
        context.sni_callback = lambda _socket, name, _context: seen.append(name)
    return context


async def lookup(_host: str, _port: int) -> Sequence[str]:
    return ["127.0.0.1"]


async def told(deliverer: Deliverer, url: str) -> Verdict:
    return await deliverer.deliver(Webhook(url, SECRET), "hk1", b"{}", datetime.now(UTC))


async def test_the_host_is_asked_for_and_verified_by_name_though_called_by_address(
    authority: trustme.CA, trusting: ssl.SSLContext, here: WebhookSettings
) -> None:
    seen: list[str | None] = []
    async with (
        Receiver(tls=serving(authority, "receiver.test", seen)) as receiver,
        Deliverer(here, tls=trusting, lookup=lookup) as deliverer,
    ):
        assert await told(
            deliverer, f"https://Receiver.test:{receiver.port}/"
        ) == Verdict.delivered(200)
        receiver.got[0].verified(SECRET)
        assert receiver.got[0].headers["host"] == f"receiver.test:{receiver.port}"
    assert seen == ["receiver.test"]


@pytest.mark.parametrize("identity", ["another.test", "127.0.0.1"])
async def test_a_certificate_of_another_name_or_of_the_address_ends_the_try(
    authority: trustme.CA, trusting: ssl.SSLContext, here: WebhookSettings, identity: str
) -> None:
    async with (
        Receiver(tls=serving(authority, identity)) as receiver,
        Deliverer(here, tls=trusting, lookup=lookup) as deliverer,
    ):
        verdict = await told(deliverer, f"https://receiver.test:{receiver.port}/")
        assert (verdict.kind, receiver.got) == (VerdictKind.RETRY, [])
    assert "receiver.test" in verdict.why
    assert "certificate" in verdict.why


async def test_by_default_an_authority_nobody_knows_is_not_trusted(
    authority: trustme.CA, here: WebhookSettings
) -> None:
    async with (
        Receiver(tls=serving(authority, "receiver.test")) as receiver,
        Deliverer(here, lookup=lookup) as deliverer,
    ):
        verdict = await told(deliverer, f"https://receiver.test:{receiver.port}/")
        assert (verdict.kind, receiver.got) == (VerdictKind.RETRY, [])
    assert "certificate verify failed" in verdict.why


async def test_an_address_in_the_url_is_verified_as_an_address(
    authority: trustme.CA, trusting: ssl.SSLContext, here: WebhookSettings
) -> None:
    seen: list[str | None] = []
    async with (
        Receiver(tls=serving(authority, "127.0.0.1", seen)) as receiver,
        Deliverer(here, tls=trusting) as deliverer,
    ):
        assert await told(deliverer, receiver.url) == Verdict.delivered(200)
    assert seen == [None]


async def test_a_connection_verified_for_one_host_serves_no_other_at_its_address(
    authority: trustme.CA, trusting: ssl.SSLContext, here: WebhookSettings
) -> None:
    async with (
        Receiver(tls=serving(authority, "receiver.test")) as receiver,
        Deliverer(here, tls=trusting, lookup=lookup) as deliverer,
    ):
        assert await told(
            deliverer, f"https://receiver.test:{receiver.port}/"
        ) == Verdict.delivered(200)
        assert (
            await told(deliverer, f"https://another.test:{receiver.port}/")
        ).kind is VerdictKind.RETRY
        assert len(receiver.got) == 1
