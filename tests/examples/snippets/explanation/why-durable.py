"""What the reader of docs/explanation/why-durable.md has at hand."""

from datetime import timedelta

from stepflow import Context, Stepflow

app = Stepflow()


def charge(item: str) -> str:
    return f"payment for {item}"


def refund(payment: str) -> None:
    pass


def ship(item: str) -> str:
    return f"{item} is on its way"


__all__ = ["Context", "timedelta"]
