"""What the reader of docs/how-to/shared-values.md has at hand."""

from datetime import timedelta

from stepflow import Context, Outcome, Step, Succeed

__all__ = ["Context", "Outcome", "Step", "Succeed", "timedelta"]

asked = []
page = {"digest": "abc", "text": "long"}


async def ask_geocoder(place: str) -> tuple[float, float]:
    asked.append(place)
    return 52.5, 13.4


async def summarize(page: dict[str, str]) -> str:
    return page["text"][:2]


async def load_rates() -> dict[str, float]:
    asked.append("rates")
    return {"usd": 2.0}


async def check(h, space):
    for _ in range(3):
        assert await h.result(await h.submit("trips", "berlin")) == (52.5, 13.4)
        assert await h.result(await h.submit("convert", 4.0)) == 8.0
    assert asked == ["berlin", "rates"]
