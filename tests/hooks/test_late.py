"""A Deliverer that is made for the first delivery."""

import asyncio
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from stepflow.hooks.late import LateDeliverer
from stepflow.hooks.response import Verdict, VerdictKind
from stepflow.hooks.webhook import Webhook
from stepflow.settings import WebhookSettings
from tests.hooks.receiver import Receiver

NOW = datetime.now(UTC)


async def told(deliverer: LateDeliverer, url: str) -> Verdict:
    return await deliverer.deliver(Webhook(url), "hk1", b"{}", NOW)


async def test_deliveries_share_one_deliverer(here: WebhookSettings) -> None:
    async with Receiver() as receiver, LateDeliverer(here) as deliverer:
        verdicts = await asyncio.gather(*[told(deliverer, receiver.url) for _ in range(4)])
        made = deliverer._making
        verdicts.append(await told(deliverer, receiver.url))
        assert {verdict.kind for verdict in verdicts} == {VerdictKind.DELIVERED}
        assert deliverer._making is made
        assert len(receiver.got) == 5


async def test_one_that_is_never_used_ends_quietly(here: WebhookSettings) -> None:
    async with LateDeliverer(here) as deliverer:
        assert deliverer._making is None


async def test_one_that_is_being_made_may_end(here: WebhookSettings) -> None:
    async with LateDeliverer(here) as deliverer:
        waiting = asyncio.ensure_future(told(deliverer, "http://127.0.0.1:9"))
        await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_a_delivery_that_is_cancelled_leaves_the_others_theirs(here: WebhookSettings) -> None:
    async with Receiver() as receiver, LateDeliverer(here) as deliverer:
        first, second = (asyncio.ensure_future(told(deliverer, receiver.url)) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        assert (await second).kind is VerdictKind.DELIVERED


async def test_without_authorities_it_is_tried_again_and_says_why(
    here: WebhookSettings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.pem"
    broken.write_text("no certificate")
    async with Receiver() as receiver, LateDeliverer(here) as deliverer:
        for path in (broken, tmp_path / "missing.pem"):
            monkeypatch.setenv("SSL_CERT_FILE", str(path))
            verdict = await told(deliverer, receiver.url)
            assert verdict.kind is VerdictKind.RETRY
            assert "the certificate authorities cannot be read" in verdict.why
        monkeypatch.delenv("SSL_CERT_FILE")
        assert (await told(deliverer, receiver.url)).kind is VerdictKind.DELIVERED


@pytest.mark.parametrize("error", [ModuleNotFoundError("no httpx"), RuntimeError("no threads")])
async def test_what_cannot_be_made_is_made_again(
    here: WebhookSettings, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """Modules are gone while a deploy replaces them; a machine has no threads to give."""

    def fail() -> None:
        raise error

    async with Receiver() as receiver, LateDeliverer(here) as deliverer:
        with monkeypatch.context() as patch:
            patch.setattr("stepflow.hooks.late._load", fail)
            verdict = await told(deliverer, receiver.url)
        assert verdict.kind is VerdictKind.RETRY
        assert str(error) in verdict.why
        assert (await told(deliverer, receiver.url)).kind is VerdictKind.DELIVERED


def test_a_worker_without_webhooks_imports_no_httpx() -> None:
    code = (
        "import sys, stepflow.entry; print(sorted({'httpx', 'rich', 'anyio'} & set(sys.modules)))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"
