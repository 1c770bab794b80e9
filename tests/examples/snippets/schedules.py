"""What the reader of docs/schedules.md has at hand."""

from datetime import datetime, timedelta

from stepflow import Context, Stepflow
from stepflow.testing import Harness

app = Stepflow()


def extract(day: datetime) -> list[int]:
    return [40, 2]


def load(rows: list[int]) -> int:
    return sum(rows)


async def check(h, space):
    assert [each.id for each in await h.schedules()] == ["full-load"]
    async with Harness(app) as inner:
        assert {each.id for each in await inner.schedules()} == {"nightly", "clean"}


__all__ = ["Context", "timedelta"]
