"""One try of one delivery, against a real receiver."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from stepflow.hooks import Webhook
from stepflow.hooks.deliver import Deliverer
from stepflow.hooks.response import Verdict, VerdictKind
from stepflow.hooks.ssrf import Lookup
from stepflow.settings import WebhookSettings

from .receiver import (
    Behaviour,
    Receiver,
    chatter,
    endless_body,
    gibberish,
    hang_up,
    reply,
    silence,
    unused_port,
)

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OLD = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
BODY = b'{"type":"run.succeeded"}'


async def told(deliverer: Deliverer, url: str, **options: object) -> Verdict:
    return await deliverer.deliver(Webhook(url, SECRET, **options), "hk1", BODY, datetime.now(UTC))  # type: ignore[arg-type]


def leading_to(*addresses: str, asked: list[str] | None = None) -> Lookup:
    async def lookup(host: str, _port: int) -> Sequence[str]:
        if asked is not None:
            asked.append(host)
        return addresses

    return lookup


def short(settings: WebhookSettings, **changes: object) -> WebhookSettings:
    """Make tries end soon, for receivers that never answer."""
    return settings.model_copy(update={"timeout_s": 0.2, **changes})


# what is sent


async def test_a_delivery_is_a_signed_post_of_json(deliverer: Deliverer) -> None:
    async with Receiver() as receiver:
        assert await told(deliverer, receiver.url) == Verdict.delivered(200)
        [got] = receiver.got
    assert (got.method, got.path, got.body) == ("POST", "/hook", BODY)
    assert got.headers["content-type"] == "application/json"
    assert got.headers["host"] == f"127.0.0.1:{receiver.port}"
    assert got.headers["webhook-id"] == "hk1"
    assert got.verified(SECRET) == {"type": "run.succeeded"}


async def test_every_try_has_the_same_id_and_body_and_a_time_of_its_own(
    deliverer: Deliverer,
) -> None:
    async with Receiver(reply(503), reply(200)) as receiver:
        webhook, now = Webhook(receiver.url, SECRET), datetime.now(UTC)
        first = await deliverer.deliver(webhook, "hk1", BODY, now)
        second = await deliverer.deliver(webhook, "hk1", BODY, now + timedelta(seconds=5))
        one, two = receiver.got
    assert (first.kind, second.kind) == (VerdictKind.RETRY, VerdictKind.DELIVERED)
    assert (one.headers["webhook-id"], one.body) == (two.headers["webhook-id"], two.body)
    assert int(two.headers["webhook-timestamp"]) - int(one.headers["webhook-timestamp"]) == 5
    one.verified(SECRET)
    two.verified(SECRET)


async def test_while_secrets_are_changed_either_verifies(deliverer: Deliverer) -> None:
    async with Receiver() as receiver:
        await told(deliverer, receiver.url, previous_secret=OLD)
        receiver.got[0].verified(SECRET)
        receiver.got[0].verified(OLD)


async def test_without_a_secret_the_delivery_is_unsigned(deliverer: Deliverer) -> None:
    async with Receiver() as receiver:
        await deliverer.deliver(Webhook(receiver.url), "hk1", BODY, datetime.now(UTC))
        assert "webhook-signature" not in receiver.got[0].headers


async def test_path_query_and_headers_arrive_as_given(deliverer: Deliverer) -> None:
    async with Receiver() as receiver:
        url = f"http://127.0.0.1:{receiver.port}/a%2Fb/c;d?token=x%20y&z=[1]#part"
        await told(deliverer, url, headers={"Authorization": "Bearer t0ken", "User-Agent": "mine"})
        [got] = receiver.got
    assert got.path == "/a%2Fb/c;d?token=x%20y&z=[1]"
    assert (got.headers["authorization"], got.headers["user-agent"]) == ("Bearer t0ken", "mine")


# what the answer means


@pytest.mark.parametrize(
    ("behaviour", "kind", "after_s"),
    [
        (reply(200), VerdictKind.DELIVERED, None),
        (reply(204), VerdictKind.DELIVERED, None),
        (endless_body, VerdictKind.DELIVERED, None),
        (reply(200, body=b"x" * 1_000_000), VerdictKind.DELIVERED, None),
        (reply(408), VerdictKind.RETRY, None),
        (reply(429, {"Retry-After": "7"}), VerdictKind.RETRY, 7.0),
        (reply(503, {"Retry-After": "999999"}), VerdictKind.RETRY, 86400.0),
        (reply(500), VerdictKind.RETRY, None),
        (hang_up, VerdictKind.RETRY, None),
        (gibberish, VerdictKind.RETRY, None),
        (reply(400), VerdictKind.DEAD, None),
        (reply(404), VerdictKind.DEAD, None),
        (reply(410), VerdictKind.DEAD, None),
    ],
)
async def test_an_answer_has_its_verdict(
    deliverer: Deliverer, behaviour: Behaviour, kind: VerdictKind, after_s: float | None
) -> None:
    async with Receiver(behaviour) as receiver:
        verdict = await told(deliverer, receiver.url)
    assert (verdict.kind, verdict.after_s) == (kind, after_s)


async def test_retry_after_may_be_a_date(deliverer: Deliverer) -> None:
    now = datetime(2026, 11, 2, 12, tzinfo=UTC)
    later = format_datetime(now + timedelta(seconds=90), usegmt=True)
    async with Receiver(reply(503, {"Retry-After": later})) as receiver:
        verdict = await deliverer.deliver(Webhook(receiver.url), "hk1", BODY, now)
    assert verdict.after_s == 90.0


async def test_a_redirect_is_not_followed(deliverer: Deliverer) -> None:
    async with Receiver() as other, Receiver(reply(307, {"Location": other.url})) as receiver:
        verdict = await told(deliverer, receiver.url)
        assert (verdict.kind, other.connections) == (VerdictKind.DEAD, 0)
    assert "none is followed" in verdict.why


async def test_nobody_there_is_tried_again(deliverer: Deliverer) -> None:
    verdict = await told(deliverer, f"http://127.0.0.1:{unused_port()}/")
    assert verdict.kind is VerdictKind.RETRY
    assert verdict.status is None


@pytest.mark.parametrize("behaviour", [silence, chatter])
async def test_a_try_has_an_end_even_while_something_keeps_arriving(
    here: WebhookSettings, behaviour: Behaviour
) -> None:
    async with Receiver(behaviour) as receiver, Deliverer(short(here)) as deliverer:
        verdict = await told(deliverer, receiver.url)
    assert (verdict.kind, verdict.status) == (VerdictKind.RETRY, None)
    assert "within 0.2 s" in verdict.why


async def test_a_name_server_that_is_silent_counts_into_the_time_of_a_try(
    here: WebhookSettings,
) -> None:
    async def never(_host: str, _port: int) -> Sequence[str]:
        await asyncio.Event().wait()
        return []

    async with Deliverer(short(here), lookup=never) as deliverer:
        assert "within 0.2 s" in (await told(deliverer, "http://example.com/")).why


async def test_a_name_that_cannot_be_found_is_tried_again(here: WebhookSettings) -> None:
    async with Deliverer(here, lookup=leading_to()) as deliverer:
        verdict = await told(deliverer, "http://example.com/")
    assert verdict.kind is VerdictKind.RETRY
    assert "example.com has no address" in verdict.why


# where it may go


async def test_this_machine_is_refused_unless_opened(here: WebhookSettings) -> None:
    async with Receiver() as receiver:
        async with Deliverer(WebhookSettings()) as deliverer:
            verdict = await told(deliverer, receiver.url)
        assert (verdict.kind, receiver.connections) == (VerdictKind.DEAD, 0)
        assert "loopback" in verdict.why
        async with Deliverer(here) as deliverer:
            assert await told(deliverer, receiver.url) == Verdict.delivered(200)


async def test_a_name_with_one_refused_address_is_not_called_at_all(here: WebhookSettings) -> None:
    async with (
        Receiver() as receiver,
        Deliverer(here, lookup=leading_to("127.0.0.1", "10.0.0.1")) as deliverer,
    ):
        verdict = await told(deliverer, f"http://example.com:{receiver.port}/")
        assert (verdict.kind, receiver.connections) == (VerdictKind.DEAD, 0)
    assert "10.0.0.1" in verdict.why


async def test_a_name_is_asked_for_once_a_try_and_the_checked_address_is_the_one_called(
    here: WebhookSettings,
) -> None:
    asked: list[str] = []
    async with (
        Receiver() as receiver,
        Deliverer(here, lookup=leading_to("127.0.0.1", asked=asked)) as deliverer,
    ):
        assert await told(
            deliverer, f"http://no.such.host.invalid:{receiver.port}/"
        ) == Verdict.delivered(200)
        assert receiver.got[0].headers["host"] == f"no.such.host.invalid:{receiver.port}"
    assert asked == ["no.such.host.invalid"]


async def test_an_address_that_cannot_be_connected_to_gives_way_to_the_next(
    here: WebhookSettings,
) -> None:
    async with (
        Receiver() as receiver,
        Deliverer(here, lookup=leading_to("127.0.0.9", "127.0.0.1")) as deliverer,
    ):
        assert await told(deliverer, f"http://example.com:{receiver.port}/") == Verdict.delivered(
            200
        )
        assert receiver.connections == 1


async def test_what_was_sent_once_is_not_sent_to_another_address(here: WebhookSettings) -> None:
    async with (
        Receiver(hang_up) as receiver,
        Deliverer(here, lookup=leading_to("127.0.0.1", "127.0.0.9")) as deliverer,
    ):
        verdict = await told(deliverer, f"http://example.com:{receiver.port}/")
        assert receiver.connections == 1
    assert "RemoteProtocolError" in verdict.why


async def test_proxies_and_passwords_of_the_environment_are_not_used(
    here: WebhookSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Receiver() as proxy, Receiver() as receiver:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        async with Deliverer(here) as deliverer:
            assert await told(deliverer, receiver.url) == Verdict.delivered(200)
        assert (proxy.connections, receiver.connections) == (0, 1)


async def test_hosts_at_one_address_share_neither_connection_nor_cookies(
    here: WebhookSettings,
) -> None:
    kind = reply(200, {"Set-Cookie": "who=a", "Connection": "keep-alive"})
    async with (
        Receiver(kind) as receiver,
        Deliverer(here, lookup=leading_to("127.0.0.1")) as deliverer,
    ):
        for host in ("a.test", "b.test", "a.test"):
            assert await told(deliverer, f"http://{host}:{receiver.port}/") == Verdict.delivered(
                200
            )
        assert receiver.connections == 3
        assert not any("cookie" in got.headers for got in receiver.got)


# how many at once


async def test_a_host_at_its_cap_answers_busy_at_once_and_others_are_delivered(
    here: WebhookSettings,
) -> None:
    settings = here.model_copy(update={"per_host": 2})
    async with Receiver(silence) as slow, Receiver() as live, Deliverer(settings) as deliverer:
        held = [asyncio.create_task(told(deliverer, slow.url)) for _ in range(2)]
        await slow.arrived(2)
        third = await told(deliverer, slow.url)
        assert third.kind is VerdictKind.BUSY
        assert third.after_s is not None
        assert third.after_s > 0
        assert slow.connections == 2
        assert await told(deliverer, live.url) == Verdict.delivered(200)
        for task in held:
            task.cancel()
        await asyncio.gather(*held, return_exceptions=True)


async def test_a_delivery_that_is_given_up_leaves_its_place(here: WebhookSettings) -> None:
    settings = here.model_copy(update={"per_host": 1})
    async with Receiver(silence, reply(200)) as receiver, Deliverer(settings) as deliverer:
        held = asyncio.create_task(told(deliverer, receiver.url))
        await receiver.arrived(1)
        held.cancel()
        with pytest.raises(asyncio.CancelledError):
            await held
        assert await told(deliverer, receiver.url) == Verdict.delivered(200)


async def test_a_host_that_did_not_answer_has_one_delivery_at_a_time_until_it_answers(
    here: WebhookSettings,
) -> None:
    async with Receiver(hang_up, silence, reply(500)) as receiver, Deliverer(here) as deliverer:
        assert (await told(deliverer, receiver.url)).kind is VerdictKind.RETRY
        probe = asyncio.create_task(told(deliverer, receiver.url))
        await receiver.arrived(2)
        assert (await told(deliverer, receiver.url)).kind is VerdictKind.BUSY
        probe.cancel()
        await asyncio.gather(probe, return_exceptions=True)
        assert (await told(deliverer, receiver.url)).status == 500
        both = await asyncio.gather(*(told(deliverer, receiver.url) for _ in range(4)))
    assert {verdict.status for verdict in both} == {500}


async def test_a_variable_that_is_not_set_means_another_try_and_sends_nothing(
    here: WebhookSettings,
) -> None:
    """[B28] Whoever runs the worker can set it right; then it is signed."""
    variables: dict[str, str] = {}
    async with Receiver() as receiver, Deliverer(here, variables=variables) as deliverer:
        webhook = Webhook(receiver.url, secret_env="MINE")
        verdict = await deliverer.deliver(webhook, "hk1", BODY, datetime.now(UTC))
        assert (verdict.kind, receiver.got) == (VerdictKind.RETRY, [])
        assert "environment variable MINE" in verdict.why
        variables["MINE"] = SECRET
        assert (
            await deliverer.deliver(webhook, "hk1", BODY, datetime.now(UTC))
        ).kind is VerdictKind.DELIVERED
        receiver.got[0].verified(SECRET)
