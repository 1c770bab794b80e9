"""What the reader of docs/how-to/fan-out.md has at hand."""

from stepflow import Context, Failed, RetryPolicy, Stepflow


def ask(text: str) -> list[str]:
    return [text, text]


def resize(photo: str) -> int:
    return len(photo)


def list_users(cursor: int | None) -> tuple[list[str], int | None]:
    at = cursor or 0
    return [f"user-{at}"], at + 1 if at < 3 else None


def invite(user: str) -> str:
    return f"dear {user}"


async def quote(ctx: Context, number: int) -> int:
    return number


def register(app: Stepflow) -> None:
    app.workflow("quote")(quote)


__all__ = ["Failed", "RetryPolicy"]
