"""The list and the page of a run say the same of it, whatever state it is in [O28]."""

from __future__ import annotations

import random
import re
from collections import Counter
from html import unescape

import pytest

from stepflow import PermanentError, RetryPolicy, StepflowError, Succeed, TransientError

#: runs of the walk, and runners that they are of
RUNS = 25
KINDS = ("waits", "asks", "sleeps", "fails", "retries", "parent", "one", "nobody")
#: spans of time go on while one looks, and the list names no zone
_SPANS = re.compile(r"\(?\b(?:in )?\d[\d.,]* ?(?:ms|s|min|h|d)\b(?: ago)?\)?|\bnow\b")


def runners(app) -> None:
    quick = RetryPolicy(max_attempts=2, initial=0.01)

    @app.workflow("waits")
    async def waits(ctx):
        await ctx.step("first", str, 1)
        await ctx.wait_for_signal("go", timeout=500)

    @app.workflow("asks")
    async def asks(ctx):
        return await ctx.ask(bool, "Shall I?")

    @app.workflow("sleeps")
    async def sleeps(ctx):
        await ctx.sleep(500)

    @app.workflow("fails", retry=quick)
    async def fails(ctx):
        async def fail():
            raise PermanentError("no <b>good</b>")

        await ctx.step("fail", fail)

    @app.workflow("parent")
    async def parent(ctx):
        child = await ctx.spawn(waits)
        await child.result()

    @app.runner("retries", retry=RetryPolicy(max_attempts=3, initial=300))
    async def retries(step):
        raise TransientError("later")

    @app.runner("one")
    async def one(step):
        return Succeed(step.payload)


async def move(chance: random.Random, client, run_id: str) -> None:
    """Do something to a run that may or may not be possible."""
    kind = KINDS[int(run_id[1:]) % len(KINDS)]
    moves = (
        lambda: client.submit(kind, 1, run_id=run_id, on_conflict="restart"),
        lambda: client.submit(kind, 1, run_id=run_id, delay=300, on_conflict="restart"),
        lambda: client.cancel(run_id, "<i>enough</i>"),
        lambda: client.fail(run_id, "by hand"),
        lambda: client.pause(run_id, "a & b"),
        lambda: client.resume(run_id),
        lambda: client.retry(run_id),
        lambda: client.run_now(run_id),
        lambda: client.signal(run_id, chance.choice(["go", "goo"])),
        lambda: answer_all(client, run_id),
        lambda: client.delete(run_id),
        lambda: client.pause_queue("default", "lunch"),
        lambda: client.resume_queue("default"),
        lambda: client.resume_queue("default"),
    )
    try:
        await chance.choice(moves)()
    except StepflowError:
        return


async def answer_all(client, run_id: str) -> None:
    for question in await client.questions_of(run_id):
        await client.answer(question.token, value=True)


def listed(page: str) -> dict[str, tuple[str, str]]:
    """Give of each row of the list its state and where it stands."""
    rows = re.findall(r'<tr[^>]* id="run-([^"]+)".*?</tr>', page, re.DOTALL)
    found = {}
    for run_id in rows:
        row = page.partition(f'id="run-{run_id}"')[2].partition("</tr>")[0]
        where = re.search(r'<td class="where[^"]*"[^>]*>(.*?)</td>', row, re.DOTALL)
        found[run_id] = (state_of(row), text_of(where[1] if where else ""))
    return found


def state_of(page: str) -> str:
    return re.search(r'class="chip ([a-z]+)"', page)[1]


def text_of(html: str) -> str:
    """Give the words of a piece of a page, but for its spans of time."""
    words = " ".join(unescape(re.sub(r"<[^>]+>", " ", html)).split())
    return " ".join(_SPANS.sub("", words).split())


async def compare(look) -> Counter[str]:
    """Hold every row of the list against the page of its run; gives how many of each state."""
    rows = listed(await look("runs"))
    for run_id, (state, where) in rows.items():
        page = await look(f"runs/{run_id}")
        assert state_of(page) == state, run_id
        why = text_of(page.partition('id="why"')[2].partition("</div>")[0])
        if state in {"succeeded", "failed", "cancelled"}:
            assert "open" not in re.findall(r'<rect class="([a-z ]+)"', page)
            assert 'class="tr d0 now"' not in page
            assert where in text_of(page), run_id
        else:
            assert where, run_id
            assert where in why, (run_id, state)
    return Counter(state for state, _ in rows.values())


@pytest.mark.parametrize(
    "least", [60, pytest.param(1000, marks=[pytest.mark.crash])], ids=["short", "long"]
)
async def test_the_list_and_the_page_of_a_run_never_disagree(app, aclient, look, working, least):
    """[O28] Both are read while nothing moves: after each bout of work the workers are gone."""
    chance = random.Random(2811)
    runners(app)
    seen: Counter[str] = Counter()
    while seen.total() < least:
        for _ in range(RUNS):
            await move(chance, aclient, f"r{chance.randrange(RUNS)}")
        if chance.random() < 0.7:
            async with working(app, concurrency=chance.choice([1, 20])):
                for _ in range(chance.randrange(3)):
                    await move(chance, aclient, f"r{chance.randrange(RUNS)}")
        seen += await compare(look)
    assert len(seen) >= 6, seen
    for run in (await aclient.list(limit=200)).runs:
        await aclient.fail(run.id)
    await aclient.resume_queue("default")
