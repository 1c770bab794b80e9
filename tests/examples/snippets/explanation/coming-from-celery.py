"""What the reader of docs/explanation/coming-from-celery.md has at hand."""

from stepflow.testing import Harness


def find_orders(month: str) -> list[str]:
    return [f"{month}-1", f"{month}-2"]


def add_up(order: str) -> int:
    return len(order)


def publish(sums: list[int]) -> str:
    return f"published {sum(sums)}"


async def check(h, space):
    async with Harness(space["app"]) as later:
        assert await later.result(await later.submit("report", "may")) == "published 10"
        assert await space["checkout"]() == "sent 2 of order-7"
        space["from_another_service"](space["app"].client)
        await later.advance(3600)
        assert await later.result("invoice-8") == "sent 1 of order-8"
