"""
Nightly: an ETL that runs at 2:30 in Berlin, also in the night in which there is no 2:30.

    python examples/17_nightly.py

The harness moves the clock through the last weekend of March 2027. To have it for real, start a
worker: stepflow worker --app examples/17_nightly.py:app
"""

import asyncio
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from stepflow import Context, Stepflow
from stepflow.testing import Harness

app = Stepflow()
BERLIN = ZoneInfo("Europe/Berlin")


def extract(day: datetime) -> list[int]:
    return [day.day, 2]


def load(rows: list[int]) -> int:
    return sum(rows)


@app.schedule("30 2 * * *", tz="Europe/Berlin")
@app.workflow
async def nightly(ctx: Context) -> int:
    day = ctx.scheduled_for
    assert day is not None, "submitted by hand"
    rows = await ctx.step(extract, day)
    return await ctx.step(load, rows)


async def main() -> None:
    async with Harness(app, now=datetime(2027, 3, 26, 12, tzinfo=UTC)) as h:
        await h.advance(timedelta(days=3))
        for firing in reversed(await h.client.schedules.history("nightly")):
            assert firing.run_id is not None, firing  # no time was left out
            at = firing.scheduled_for.astimezone(BERLIN)
            print(f"{at:%a %d %B, %H:%M}: {firing.run_id} loaded {await h.result(firing.run_id)}")


if __name__ == "__main__":
    asyncio.run(main())
