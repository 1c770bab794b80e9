"""What the reader of docs/how-to/fan-out.md has at hand."""

from stepflow import Context, Stepflow


def ask(text: str) -> list[str]:
    return [text, text]


async def quote(ctx: Context, number: int) -> int:
    return number


def register(app: Stepflow) -> None:
    app.workflow("quote")(quote)
