"""What docs/operations.md has one type prints what it says, on the night that it tells of."""

from __future__ import annotations

import re

import pytest

from tests.examples.pages import ROOT, blocks, commands
from tests.examples.reader import MASKS, Reader

PAGE = ROOT / "docs" / "operations.md"
SHOP = """
import time
from pathlib import Path

from stepflow import Context, RetryPolicy, RunOutcome, Stepflow

app = Stepflow()


def charge(order: int) -> str:
    if not Path("bank-is-up").exists():
        raise ConnectionError("the bank does not answer")
    return f"charged for {order}"


def render(month: str) -> None:
    while True:
        time.sleep(0.1)


@app.workflow("order", retry=RetryPolicy(max_attempts=2, initial=0.1))
async def order(ctx: Context, number: int) -> None:
    await ctx.step(charge, number)
    await ctx.wait_for_signal("packed")


@app.workflow("report")
async def report(ctx: Context, month: str) -> None:
    await ctx.step(render, month)


@app.on_terminal
def tell_accounting(outcome: RunOutcome) -> None:
    raise ConnectionError("accounting does not answer")
"""
BEFORE = (
    "submit order 1 --id order-1", "submit order 2 --id order-2", "submit order 3 --id order-3",
    """submit report '"May"' --id report-may""", """submit mail '"Ada"' --id mail-1""",
)  # fmt: skip
#: what differs from night to night, beside what differs anyway
OF_A_NIGHT = (
    (r"next_at=\S+", "<next>"),
    (r"<time>|\d\d:\d\d:\d\d UTC", "<time>"),
    (r"\b[0-9A-HJKMNP-TV-Z]{26}\b", "<bulk>"),
    (r"[\w.-]+@[\w.-]+", "<who>"),
    (r"\bhost [\w.-]+(, pid \d+)?", "<where>"),
    (r"order, report \S+ \d+", "<where>"),
    (r"\b[0-9a-f]{12}\b", "<build>"),
    (r"(Valkey|Redis) [\d.]+, up .*", "<server>"),
    (r"^ok +persistence .*", "<persistence>"),
    (r"\d[\d.]* MiB used.*", "<memory>"),
    (r"[/\w.-]*/shop\.py:\d+", "<place>"),
    (r"tried \d times?|pending \d", "<tries>"),
    (r"\(<span> ago\)", "<ago>"),
    (r"\d+ live runs, \d+ hooks, \d+ index entries", "<what>"),
    (r"(busy|idle) \d+/100 \d+", "<work>"),
)


@pytest.mark.crash
def test_each_command_of_the_night_prints_what_the_page_says(reader: Reader) -> None:
    """What the page only tells of in comments happens between them."""
    reader.masks = (*MASKS, *OF_A_NIGHT)
    (reader.home / "shop.py").write_text(SHOP)
    reader.start("stepflow worker shop:app")
    for words in BEFORE:
        reader.run(f"stepflow {words}")
    typed = 0
    for block in blocks(PAGE):
        if block.mark == "the bank is back":
            (reader.home / "bank-is-up").touch()
        for command, printed in commands(block.text) if block.language == "console" else ():
            reader.type(command, printed)
            typed += 1
    assert typed > 20


def test_each_question_of_the_night_has_a_command() -> None:
    questions = re.split(r"^## ", PAGE.read_text(), flags=re.MULTILINE)[1:]
    asked = [each for each in questions if each.partition("\n")[0].endswith("?")]
    assert len(asked) == 11
    assert [each.partition("\n")[0] for each in asked if "$ stepflow " not in each] == []
