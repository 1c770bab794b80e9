"""What the reader of docs/how-to/cron.md has at hand."""

from datetime import date, timedelta

from stepflow import Client, Context, Stepflow

app = Stepflow()


def extract(day: date) -> list[int]:
    return [1, 2]


def load(rows: list[int]) -> int:
    return len(rows)


def look_for_changes(seen: int) -> int:
    return seen + 1


async def check(h, space):
    run = await h.submit("nightly", date(2026, 11, 26), run_id="nightly-2026-11-26")
    assert await h.result(run) == 2
    watch = await h.submit("watch", 0, run_id="watch")
    await h.advance(timedelta(hours=3))
    assert (await h.status(watch)).state == "waiting"


__all__ = ["Client", "Context"]
