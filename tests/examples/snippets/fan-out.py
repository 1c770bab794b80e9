"""What the reader of docs/how-to/fan-out.md has at hand."""

from stepflow import Context, Failed, RetryPolicy, Stepflow


def ask(text: str) -> list[str]:
    return [text, text]


def resize(photo: str) -> int:
    return len(photo)


async def quote(ctx: Context, number: int) -> int:
    return number


def register(app: Stepflow) -> None:
    app.workflow("quote")(quote)


__all__ = ["Failed", "RetryPolicy"]
