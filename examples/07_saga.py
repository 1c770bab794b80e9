"""
A saga: when the run fails or is cancelled, it undoes its completed steps, the last one first.

    python examples/07_saga.py

Each compensation is a durable step of its own, called with its step's value. It is retried like any
step and completes once, whatever crashes. One that fails for good is recorded with the run, and the
others still run.
"""

import subprocess
import sys

from stepflow import Context, PermanentError, RunFailed, Stepflow

app = Stepflow()


def book_flight(to: str) -> str:
    print("booked flight F-1")
    return "F-1"


def book_hotel(to: str) -> str:
    print("booked hotel H-2")
    return "H-2"


def cancel_booking(number: str) -> None:
    print(f"cancelled {number}")


def charge(card: str) -> None:
    raise PermanentError("card declined")


@app.workflow("trip")
async def trip(ctx: Context, to: str) -> str:
    flight = await ctx.step(book_flight, to, compensate=cancel_booking)
    hotel = await ctx.step(book_hotel, to, compensate=cancel_booking)
    await ctx.step(charge, "4000-0000")
    return f"{flight} {hotel}"


def main() -> None:
    command = [sys.executable, "-m", "stepflow", "worker", "examples.07_saga:app"]
    worker = subprocess.Popen(command)
    try:
        app.client.submit(trip, "Rome").result(timeout=30)
    except RunFailed as error:
        print(f"failed: {error.error_message}")
    finally:
        worker.terminate()
        worker.wait()


if __name__ == "__main__":
    main()
