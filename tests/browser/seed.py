"""
A database with life in it, for looking at pages: `python -m tests.browser.seed redis://...`.

Hundreds of runs of all kinds: failures, retries, waits, questions, maps, a long chain, paused ones,
blocked ones, hooks that were given up, streams with output.
"""

from __future__ import annotations

import asyncio
import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum, auto
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Literal

import stepflow
from stepflow import (
    Breaker,
    Client,
    Context,
    Continue,
    Join,
    Limit,
    Machine,
    PermanentError,
    RetryPolicy,
    RunSpec,
    Step,
    Stepflow,
    Succeed,
    TransientError,
    Webhook,
)
from stepflow.core.counts import Counted, field_of
from stepflow.store.connection.address import Address
from stepflow.store.connection.redis_py import connect
from stepflow.store.keys import Keys
from tests.support import until_blocking

ROOT = Path(__file__).parents[2]
app = Stepflow()
#: orders that the provider has turned away once
_asked: set[int] = set()
#: trips whose hotel was busy once
_tried: set[str] = set()
#: how many children the large map has, and the long chain has steps
MANY, LONG = 1000, 400


class RateLimited(TransientError):
    """What a provider says that is asked too often."""


class CardDeclined(PermanentError):
    """What no further attempt will change."""


async def _work(least_s: float, number: int) -> None:
    await asyncio.sleep(least_s * (1 + number % 7 / 3))


@app.workflow("order", retry=RetryPolicy(max_attempts=3, initial=0.3))
async def order(ctx: Context, number: int) -> dict[str, object]:
    async def reserve() -> str:
        await _work(0.02, number)
        return f"shelf-{number % 40}"

    async def charge() -> str:
        await _work(0.05, number)
        if number % 9 == 4:
            raise CardDeclined(f"card ending in {4000 + number} was declined by the issuer")
        if number % 5 == 1 and number not in _asked:
            _asked.add(number)
            raise RateLimited("429: slow down", retry_after=0.2)
        return f"ch_{number:06}"

    shelf = await ctx.step("reserve stock", reserve)
    payment = await ctx.step("charge card", charge)
    await ctx.sleep(0.1)
    return {"order": number, "shelf": shelf, "payment": payment, "total": 20 + number % 80}


@app.workflow("render")
async def render(ctx: Context, page: int) -> int:
    async def draw() -> int:
        await asyncio.sleep(0.001)
        if page % 97 == 13:
            raise PermanentError(f"page {page} has no fonts")
        return page * 3

    return await ctx.step("draw", draw)


@app.workflow("publish")
async def publish(ctx: Context, pages: int) -> str:
    found = await ctx.map(render, range(pages), limit=50, join="settled")
    return f"{len(found)} pages"


@app.workflow("ticket")
async def ticket(ctx: Context, traveller: str) -> str:
    async def issue() -> str:
        await asyncio.sleep(0.3 + len(traveller) / 20)
        return f"ticket of {traveller}"

    return await ctx.step("issue", issue)


@app.workflow("trip", retry=RetryPolicy(max_attempts=4, initial=1.2))
async def trip(ctx: Context, city: str) -> object:
    async def book(what: str, takes_s: float) -> str:
        await asyncio.sleep(takes_s)
        if what == "hotel" and city not in _tried:
            _tried.add(city)
            raise TransientError("503: the hotel's system is busy")
        return f"{what} in {city}"

    await ctx.step("book flight", book, "flight", 0.9)
    await asyncio.gather(
        ctx.step("book hotel", book, "hotel", 0.6), ctx.step("rent car", book, "car", 1.4)
    )
    await ctx.sleep(8)
    await ctx.map(ticket, ["ada", "grace", "barbara"])
    await ctx.step("send itinerary", book, "itinerary", 0.4)
    return await ctx.ask(bool, f"Pay 840 € for {city}?", timeout=3 * 86_400)


@app.workflow("approval")
async def approval(ctx: Context, title: str) -> str:
    async def draft() -> str:
        await _work(0.03, len(title))
        return f"# {title}\n\nA first draft.\n"

    await ctx.step("write draft", draft)
    answer = await ctx.ask(bool, f"Publish {title!r}?", timeout=3 * 86_400)
    return "published" if answer else "withdrawn"


@app.workflow("triage")
async def triage(ctx: Context, ticket: str) -> str:
    answer = await ctx.ask(Literal["low", "high", "urgent"], f"How urgent is {ticket}?")
    words = await ctx.ask(str, "What shall we tell the customer?")
    return f"{answer}: {words}"


@app.workflow("settings")
async def configure(ctx: Context, name: str) -> object:
    return await ctx.ask(dict[str, int], f"Which limits shall {name} have?")


@app.workflow("onboarding")
async def onboarding(ctx: Context, user: str) -> str:
    await ctx.step("create account", str, user)
    await ctx.wait_for_signal("email-confirmed", timeout=7 * 86_400)
    return "welcome"


@app.workflow("reminder")
async def reminder(ctx: Context, days: int) -> str:
    await ctx.sleep(days * 86_400)
    return "reminded"


@app.workflow("shipment")
async def shipment(ctx: Context, number: int) -> object:
    child = await ctx.spawn(onboarding, f"customer-{number}")
    return await child.result()


@app.runner("crawl")
async def crawl(step: Step[int]):
    await asyncio.sleep(0.002)
    return Continue(step.payload + 1) if step.payload < LONG else Succeed({"pages": step.payload})


@app.runner("sync-crm", retry=RetryPolicy(max_attempts=8, initial=40, max_delay=400))
async def sync_crm(step: Step[int]):
    raise ConnectionError("[Errno 111] Connect call failed ('10.2.0.7', 443)")


@app.runner("import-feed", retry=RetryPolicy(max_attempts=2, initial=0.1))
async def import_feed(step: Step[dict[str, object]]):
    rows = step.payload["rows"]
    assert isinstance(rows, int)
    if rows > 900:
        raise ValueError(f"row {rows}: column 'price' is not a number: '12,50 €'")
    await _work(0.02, rows)
    return Succeed({"imported": rows})


@app.workflow("chat")
async def chat(ctx: Context, question: str) -> str:
    async def answer() -> str:
        for word in (f"You ask: {question} " * 6).split():
            stepflow.emit(word + " ")
            await asyncio.sleep(0.01)
        return "answered"

    return await ctx.step("answer", answer)


@app.runner("transcode")
async def transcode(step: Step[int]):
    await asyncio.sleep(step.payload * 60)
    return Succeed(step.payload)


class Claim(StrEnum):
    """A claim is checked, scored by two agencies at once, and paid or looked at by a person."""

    RECEIVED = auto()
    SCORE = auto()
    ROUTE = auto()
    REVIEW = auto()
    COOL_OFF = auto()
    PAY = auto()
    PAID = auto()
    REFUSED = auto()


@dataclass
class Damage:
    amount: int
    score: int = 0
    rounds: int = 0


claims = Machine(
    "claim", Claim, start=Claim.RECEIVED, ends={Claim.PAID, Claim.REFUSED}, data=Damage
)


@claims.state(Claim.RECEIVED, to={Claim.SCORE, Claim.REFUSED})
async def received(damage: Damage) -> Claim:
    """Refuse what no policy covers."""
    await asyncio.sleep(0.05)
    return Claim.SCORE if damage.amount > 0 else Claim.REFUSED


async def agency(damage: Damage) -> int:
    await asyncio.sleep(0.1)
    return 700 - damage.amount // 10


claims.split(Claim.SCORE, [agency, lambda damage: 640], to=Claim.ROUTE)


@claims.router(Claim.ROUTE, to={Claim.REVIEW, Claim.PAY, Claim.COOL_OFF})
def route(damage: Damage) -> Claim:
    if damage.rounds < 2 and damage.amount > 4000:
        return Claim.COOL_OFF
    return Claim.REVIEW if damage.amount > 1000 else Claim.PAY


@claims.state(Claim.COOL_OFF, to=Claim.SCORE)
async def cool_off(damage: Damage) -> Claim:
    damage.rounds += 1
    return Claim.SCORE


@claims.ask(Claim.REVIEW, bool, "Pay this claim?", to={Claim.PAY, Claim.REFUSED, Claim.REVIEW})
async def review(damage: Damage, answer: bool | None) -> Claim:
    """A person looks at it."""
    return Claim.REVIEW if answer is None else Claim.PAY if answer else Claim.REFUSED


@claims.state(Claim.PAY, to=Claim.PAID, retry=RetryPolicy(1))
async def pay(damage: Damage) -> Claim:
    """Send the money."""
    if damage.amount == 666:
        raise PermanentError("the bank knows no such account")
    return Claim.PAID


app.machine(claims)


@app.runner(
    "charge", limits=[Limit("stripe", key="header.tenant", concurrency=2, rate="600/min", burst=20)]
)
async def charge(step: Step[int]):
    await asyncio.sleep(step.payload * 60)
    return Succeed(step.payload)


@app.runner("search", limits=[Limit("search-api", rate="30/min", burst=5)])
async def search(step: Step[str]):
    return Succeed(step.payload)


@app.workflow("geocode")
async def geocode(ctx: Context, place: str) -> object:
    async def look(place: str) -> list[float]:
        return [len(place) / 3, len(place) / 7]

    async def store(found: list[float]) -> str:
        raise ConnectionError("[Errno 111] Connect call failed ('10.2.0.9', 9200)")

    found = await ctx.options(cache=timedelta(days=1), cache_key=place).step("geocode", look, place)
    guard = Breaker("elastic", failures=3, reset=600)
    return await ctx.options(breaker=guard, retry=RetryPolicy(max_attempts=9, initial=0.05)).step(
        "index", store, found
    )


class Gone(BaseHTTPRequestHandler):
    """A receiver of webhooks that wants none of them."""

    #: how often one has come
    asked = 0

    def do_POST(self) -> None:
        Gone.asked += 1
        self.send_response(410)
        self.end_headers()

    def log_message(self, *args: object) -> None:
        """Say nothing."""


def receiver() -> str:
    """Start the receiver, and give its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Gone)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_address[1]}/hooks/orders"


def fill(client: Client, hook: str) -> None:
    """Submit what there is to see."""
    for number in range(160):
        headers = {"tenant": ("acme", "globex", "initech")[number % 3]}
        client.submit("order", number, run_id=f"order-{1000 + number}", headers=headers,
                      webhooks=[Webhook(hook)] if number % 20 == 3 else ())  # fmt: skip
    for number in range(40):
        client.submit("import-feed", {"feed": f"feed-{number}.csv", "rows": 700 + number * 7})
    client.submit("trip", "Lisbon", run_id="trip-7", headers={"customer": "ada@example.org"})
    client.submit("publish", MANY, run_id="catalogue-2026")
    client.submit("crawl", 0, run_id="crawl-docs")
    for title in ("Spring catalogue", "Terms of service", "Release notes 4.2"):
        client.submit("approval", title)
    client.submit("triage", "TICKET-481")
    client.submit("settings", "acme")
    for number in range(8):
        client.submit("onboarding", f"user-{number}@example.org", timeout=30 * 86_400)
    for days in (1, 3, 30):
        client.submit("reminder", days)
    client.submit("shipment", 7, run_id="shipment-7")
    for number in range(6):
        client.submit("sync-crm", number, run_id=f"crm-{number}")
    client.submit("chat", "why does the moon make tides?", run_id="chat-1")
    for minutes in (20, 45):
        client.submit("transcode", minutes, run_id=f"transcode-{minutes}")
    client.submit("train-model", {"epochs": 12}, run_id="train-12")  # nobody knows this runner
    for number in range(14):
        client.submit("order", number, queue="gpu", priority="low", run_id=f"gpu-{number}")
    client.submit("order", 5, delay=6 * 3600, run_id="tomorrow-1")


def control(client: Client) -> None:
    """Submit what flows under control: groups, machines, limits, breakers, lanes, schedules."""
    for name, amount in (("claim-41", 250), ("claim-42", 2400), ("claim-43", 5200),
                         ("claim-44", 666), ("claim-45", 0)):  # fmt: skip
        client.submit("claim", Damage(amount), run_id=name)
    for tenant, count in (("acme", 7), ("globex", 4), ("initech/eu", 1)):
        for number in range(count):
            client.submit("charge", 30, run_id=f"charge-{tenant[:4]}-{number}",
                          headers={"tenant": tenant})  # fmt: skip
    for number in range(12):
        client.submit("search", f"query {number}")
    for place in ("Lisbon", "Reykjavík", "São Paulo", "Llanfairpwllgwyngyll"):
        client.submit("geocode", place)
    client.breakers.open("sms-gateway", note="provider down, see INC-204", by="ann@ops")
    client.breakers.open("ledger", 60, by="ann@ops")
    client.breakers.close("ledger", by="ann@ops")
    client.limits.set("stripe[acme]", concurrency=3, by="ann@ops")
    for lane, count in (("acme", 40), ("globex", 3), ("initech", 1)):
        for number in range(count):
            client.submit("order", number, queue="fair", lane=lane, run_id=f"{lane}-{number}")
    client.set_window("fair", 2)
    client.set_weight("fair", "globex", 3, by="ann@ops")
    feeds = [{"feed": f"{number}.csv", "rows": 860 + number * 3} for number in range(24)]
    members = {f"feed-{each['rows']}": RunSpec("import-feed", each) for each in feeds}
    client.groups.submit("import-2026-11", members, join=Join.quorum(12))
    client.groups.submit(
        "approvals", {"a": RunSpec("approval", "Budget"), "b": RunSpec("approval", "Plan")}
    )
    client.schedules.put(
        "nightly-import", "import-feed", "0 2 * * *", tz="Europe/Berlin",
        payload={"feed": "all", "rows": 10},
    )  # fmt: skip
    client.schedules.put("heartbeat", "order", payload=7, every=60)
    client.schedules.trigger("heartbeat")
    client.schedules.put("month-end", "order", "0 18 L * *", payload=1, tz="America/New_York")
    client.schedules.pause(
        "month-end", note="books are closed until the audit is over", by="ann@ops"
    )


def remember(url: str) -> None:
    """Write down what was counted in the hour before."""
    server, keys, now = connect(Address.parse(url)), Keys(), time.time()
    for ago in range(1, 60):
        number = 700 + int(420 * math.sin(ago / 7)) + ago * 370 % 230
        failed = 280 - abs(ago - 22) * 36 if abs(ago - 22) < 7 else ago % 9
        counts = {
            field_of(Counted.SUBMITTED, "order"): number + failed,
            field_of(Counted.ENDED, "order", "succeeded"): number,
            field_of(Counted.ENDED, "order", "failed"): failed,
            field_of(Counted.FAILING, "order", "CardDeclined"): failed,
        }
        key = keys.minute(now - ago * 60)
        server.hset(key, mapping=counts)
        server.expire(key, 7200)
    server.close()


def steer(client: Client) -> None:
    """Do by hand what people do."""
    waiting = [run.id for run in client.list(runner="onboarding") if run.state == "waiting"]
    client.pause(waiting[0], "the mail provider is down", by="ann@ops")
    client.cancel(waiting[1], "asked for by the customer", by="ann@ops")
    client.signal(waiting[2], "email-confirmd", {"typo": True})
    client.bulk("retry", "state=failed runner=import-feed", rate=50, by="ann@ops")
    client.pause_queue("mail", "provider down, see INC-204", by="ann@ops")
    client.submit("order", 1, queue="mail", run_id="mail-1")


@contextmanager
def worker(url: str):
    """A worker of this app, as a program of its own."""
    command = [sys.executable, "-m", "stepflow", "worker", "tests.browser.seed:app",
               "--redis-url", url, "-q", "default", "-q", "mail", "-c", "60"]  # fmt: skip
    env = {**os.environ, "PYTHONPATH": str(ROOT), "STEPFLOW_WEBHOOK_ALLOW_CIDRS": "127.0.0.0/8"}
    process = subprocess.Popen(command, cwd=ROOT, env=env, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def settle(client: Client, limit_s: float = 60) -> None:
    """Wait until what ends soon has ended."""
    end = time.monotonic() + limit_s
    long = ("catalogue-2026", "crawl-docs", "chat-1")
    while time.monotonic() < end:
        runs = [client.status(run_id) for run_id in long]
        asks = any(question.run_id == "trip-7" for question in client.questions())
        if asks and all(run is not None and run.is_finished for run in runs):
            return
        time.sleep(0.1)


@contextmanager
def life(url: str) -> Iterator[Client]:
    """Fill a database, and keep a worker there."""
    webhook = app.settings.webhook.model_copy(update={"allow_cidrs": ("127.0.0.0/8",)})
    settings = app.settings.model_copy(update={"webhook": webhook})
    with Client(url, settings=settings) as client, worker(url) as process:
        remember(url)
        until_blocking(lambda: any(one.runner == "charge" for one in client.runners()))
        fill(client, receiver())
        control(client)
        settle(client)
        steer(client)
        yield client
        process.kill()  # what it is doing will take minutes


def main() -> None:
    [url] = sys.argv[1:]
    with life(url):
        print(f"{url} has life in it; Ctrl-C ends its worker", flush=True)
        signal.pause()


if __name__ == "__main__":
    main()
