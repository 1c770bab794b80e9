"""
A saga: what completed steps did is undone, in reverse, when the run fails or is cancelled.

    python examples/07_saga.py

Each compensation is a durable step of its own, called with its step's value. It runs once across
crashes and is tried again like any step; one that fails for good is recorded with the run, and the
others still run.
"""

import subprocess
import sys

from stepflow import Context, PermanentError, RunFailed, Stepflow

app = Stepflow()


def book_flight(to: str) -> str:
    say(f"booked flight F-{len(to) - 3}")
    return f"F-{len(to) - 3}"


def book_hotel(to: str) -> str:
    say("booked hotel H-2")
    return "H-2"


def cancel_booking(number: str) -> None:
    say(f"cancelled {number}")


def charge(card: str) -> None:
    raise PermanentError("card declined")


@app.workflow("trip")
async def trip(ctx: Context, to: str) -> str:
    bookings = [
        await ctx.step(book, to, compensate=cancel_booking) for book in (book_flight, book_hotel)
    ]
    await ctx.step(charge, "4000-0000")
    return " ".join(bookings)


def say(line: str) -> None:
    print(line, flush=True)


def main() -> None:
    worker = subprocess.Popen([sys.executable, "-m", "stepflow", "worker", "examples.07_saga:app"])
    try:
        app.client.submit("trip", "Rome").result(timeout=30)
    except RunFailed as error:
        say(f"failed: {error.error_message}")
    finally:
        worker.terminate()
        worker.wait()


if __name__ == "__main__":
    main()
