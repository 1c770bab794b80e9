"""Server-sent events of a run's output and of what happens to it [O16]."""

import asyncio
import json
from collections import Counter

import pytest

import stepflow
from stepflow import Continue, OutputEnd, OutputItem, Succeed
from stepflow.engine.events.derived import EventReader
from stepflow.engine.events.output import OutputReader
from stepflow.web.redact import HIDDEN
from stepflow.web.tails import Tails
from tests.support import until


def read(text):
    """The events of a stream, and its comments."""
    events, comments = [], []
    for block in filter(None, text.split("\n\n")):
        fields = dict(line.partition(": ")[::2] for line in block.split("\n"))
        if "" in fields:
            comments.append(fields[""])
        elif "data" in fields:
            events.append((fields["event"], fields.get("id"), json.loads(fields["data"])))
        else:
            assert fields == {"retry": "1000"}
    return events, comments


@pytest.fixture
async def spoken(app, aclient, working):
    """A run that has said something in three steps, and has ended."""

    @app.runner("says")
    async def says(step):
        await stepflow.emit(f"line {step.number}")
        await stepflow.emit({"token": "hunter2", "n": step.number}, topic="facts")
        return Continue(None) if step.number < 2 else Succeed(None)

    async with working(app):
        run = await aclient.submit("says", run_id="s-1")
        await run.wait(60)


async def test_output_is_read_from_the_beginning_or_after_an_event(http, spoken):
    """[O16] To its end; the id of each event is where the next reader goes on."""
    answer = await http.get("/runs/s-1/output", params={"topic": "out"})
    assert answer.headers["content-type"].startswith("text/event-stream")
    events, _ = read(answer.text)
    assert [kind for kind, *_ in events] == ["output"] * 3 + ["end"]
    assert [data["data"] for *_, data in events[:3]] == ["line 0", "line 1", "line 2"]
    assert events[-1][2]["state"] == "succeeded"
    last = {"Last-Event-ID": events[1][1]}
    for given in ({"headers": last}, {"params": {"after": events[1][1]}}):
        again, _ = read((await http.get("/runs/s-1/output", **given)).text)
        assert [data["data"] for kind, _, data in again if data.get("topic") == "out"] == ["line 2"]
    late = {"headers": last, "params": {"after": "0-0"}}
    assert read((await http.get("/runs/s-1/output", **late)).text)[0] == again


async def test_secrets_in_output_are_hidden(http, spoken):
    """[O19]"""
    events, _ = read((await http.get("/runs/s-1/output?topic=facts")).text)
    assert [data["data"] for *_, data in events[:3]] == [
        {"token": HIDDEN, "n": number} for number in range(3)
    ]


async def test_events_of_a_run_are_read_and_gone_on_with(http, client, spoken):
    """[O16] As the client reads them."""
    events, _ = read((await http.get("/runs/s-1/events")).text)
    assert [data for *_, data in events] == [
        event.as_dict() for event in client.events("s-1", live=False)
    ]
    assert [kind for kind, *_ in events][0 :: len(events) - 1] == ["submitted", "ended"]
    rest, _ = read(
        (await http.get("/runs/s-1/events", headers={"Last-Event-ID": events[2][1]})).text
    )
    assert rest == events[3:]


@pytest.mark.parametrize(
    ("path", "status", "kind"),
    [
        ("/runs/nobody/output", 404, "RunNotFound"),
        ("/runs/nobody/events", 404, "RunNotFound"),
        ("/runs/s-1/output?after=x", 422, "InvalidOption"),
        ("/runs/s-1/events?after=x", 422, "InvalidOption"),
        (f"/runs/s-1/events?after={'W1tb' * 3000}", 422, "InvalidOption"),  # [[[[ in base64
        ("/runs/s-1/output?topic=a%7Cb", 400, "BadRequest"),
    ],
)
async def test_a_stream_that_cannot_begin_is_a_problem_document(http, client, path, status, kind):
    """[O17]"""
    client.submit("says", run_id="s-1")
    answer = await http.get(path)
    assert (answer.status_code, answer.json()["type"]) == (status, kind)


async def test_a_stream_without_news_says_that_it_lives_and_ends_in_time(http, client, monkeypatch):
    """[O16] So that proxies keep it open, and its reader comes to another server some day."""
    monkeypatch.setattr("stepflow.web.streams.COMMENT_S", 0.02)
    monkeypatch.setattr("stepflow.web.streams.LASTS_S", 0.2)
    client.submit("says", run_id="s-1")
    events, comments = read((await http.get("/runs/s-1/output")).text)
    assert events == []
    assert comments.count("nothing new") > 1
    assert comments[-1] == "come back for more"


async def test_a_head_of_a_stream_ends_at_once(http, client):
    client.submit("says", run_id="s-1")
    answer = await http.head("/runs/s-1/output")
    assert answer.headers["content-type"].startswith("text/event-stream")


async def test_what_goes_wrong_while_it_streams_is_told_as_an_event(
    http, client, aclient, monkeypatch
):
    """[O17] And the reader comes back for the problem itself."""
    client.submit("says", run_id="s-1")

    async def away(self, run_id, **options):
        raise stepflow.RedisUnreachable("redis://x", "gone")
        yield

    monkeypatch.setattr(type(aclient), "output", away)
    [(kind, _, problem)], _ = read((await http.get("/runs/s-1/output")).text)
    assert (kind, problem["type"], problem["retryable"]) == ("problem", "RedisUnreachable", True)


async def test_a_stream_that_is_cut_again_and_again_misses_nothing(http, app, aclient, working):
    """[O20] A reader that keeps the last id reads each item once, whatever is cut."""

    @app.runner("counts")
    async def counts(step):
        for number in range(300):
            await stepflow.emit(number)
        return Succeed(None)

    async with working(app):
        run = await aclient.submit("counts", run_id="c-1")
        await run.wait(60)
    seen, last, is_over = [], "", False
    while not is_over:
        async with http.stream("GET", "/runs/c-1/output", headers={"Last-Event-ID": last}) as cut:
            text = ""
            async for part in cut.aiter_text():
                text += part
        events, _ = read(text)
        for kind, event_id, data in events[:37]:
            last = event_id or last
            is_over = kind == "end"
            seen += [data["data"]] if kind == "output" else []
    assert seen == list(range(300))


@pytest.mark.crash
@pytest.mark.parametrize(("kind", "reader"), [("output", OutputReader), ("events", EventReader)])
async def test_idle_readers_of_one_run_look_into_redis_as_one(
    http, client, monkeypatch, kind, reader
):
    """[O20] Each looks once by itself; then there is one look a second for all."""
    looks, look = [], reader.look

    def counted(self):
        looks.append(self)
        return look(self)

    monkeypatch.setattr(reader, "look", counted)
    monkeypatch.setattr("stepflow.web.streams.LASTS_S", 1.5)
    client.submit("says", run_id="s-1", delay=3600)
    await asyncio.gather(*(http.get(f"/runs/s-1/{kind}") for _ in range(60)))
    assert sorted(Counter(looks).values())[:60] == [1] * 60
    assert len(set(looks)) == 61


async def test_readers_that_share_a_tail_get_everything_in_order(http, app, aclient, working):
    """[O20] Those that were there from the beginning, and those that came in between."""
    go = asyncio.Event()

    @app.runner("counts")
    async def counts(step):
        await go.wait()
        for number in range(50):
            await stepflow.emit(number)
        return Succeed(None)

    run = await aclient.submit("counts", run_id="c-1")
    early = [asyncio.create_task(http.get("/runs/c-1/output")) for _ in range(20)]
    happened = [asyncio.create_task(http.get("/runs/c-1/events")) for _ in range(20)]
    async with working(app):
        await until(lambda: client_sees(aclient, run.id))
        go.set()
        late = [asyncio.create_task(http.get("/runs/c-1/output")) for _ in range(20)]
        await run.wait(60)
    for answer in await asyncio.gather(*early, *late):
        events, _ = read(answer.text)
        assert [data["data"] for kind, _, data in events[:-1]] == list(range(50))
        assert events[-1][0] == "end"
    texts = {answer.text for answer in await asyncio.gather(*happened)}
    assert len(texts) == 1
    assert [kind for kind, *_ in read(texts.pop())[0]] == [
        "submitted", "started", "step.closed", "ended",
    ]  # fmt: skip


async def client_sees(client, run_id):
    return (await client.status(run_id)).state == "running"


async def test_a_reader_that_lags_reads_by_itself_again(monkeypatch):
    """[O20] So a slow one costs no memory, and misses nothing."""
    monkeypatch.setattr("stepflow.web.tails.MOST_QUEUED", 3)
    items, more = [OutputItem(f"{n}-0", n) for n in range(1, 21)], asyncio.Event()

    async def stream(after, *, live):
        start = 0 if after is None else int(after.partition("-")[0])
        if live and start == 0:
            await more.wait()
        for item in items[start:] if live or more.is_set() else []:
            yield item
        if live:
            yield OutputEnd("20-0", "succeeded")

    tails, got = Tails(), []

    async def slow():
        async for event in tails.follow("k", stream, None):
            got.append(event.id)
            await asyncio.sleep(0)

    reading = asyncio.create_task(slow())
    await asyncio.sleep(0)
    more.set()
    await reading
    assert got == [item.id for item in items] + ["20-0"]
