"""
An agent: plan, search, read, write, each a step of its own.

    python examples/03_agent.py

The model is a script that needs no key and no network; put a real one where `think` is. The payload
carries the state from step to step. `step.effects` writes to the run's own key-value space: such a
write becomes visible together with the step's outcome, or not at all.
"""

import subprocess
import sys

from stepflow import Continue, Fail, Step, Stepflow, Succeed

app = Stepflow()

LIBRARY = {"tides": "The moon pulls the sea.", "moon": "It goes round in 27 days."}


def think(question: str) -> list[str]:
    return [word for word in LIBRARY if word in question]


@app.runner("agent", step_timeout=30)
async def agent(step: Step):
    match step.payload:
        case {"do": "plan", "question": str(question)}:
            return Continue({"do": "read", "todo": think(question), "notes": []})
        case {"do": "read", "todo": [topic, *rest], "notes": notes}:
            step.cancel.raise_if_set()  # a cancelled run pays for no further call
            step.effects.put(f"note:{topic}", LIBRARY[topic])
            return Continue({"do": "read", "todo": rest, "notes": [*notes, LIBRARY[topic]]})
        case {"do": "read", "notes": notes}:
            return Continue({"do": "write", "notes": notes})
        case {"do": "write", "notes": notes}:
            return Succeed(" ".join(notes))
    return Fail(f"what is {step.payload!r}?")


def main() -> None:
    command = [sys.executable, "-m", "stepflow", "worker", "examples.03_agent:app"]
    worker = subprocess.Popen(command)
    try:
        run = app.client.submit(
            "agent", {"do": "plan", "question": "why does the moon make tides?"}, timeout=60
        )
        print("answer:", run.result(timeout=30))
        print("steps: ", run.status().step + 1)
        print("note:  ", app.client.kv(run.id, "note:moon"))
    finally:
        worker.terminate()
        worker.wait()


if __name__ == "__main__":
    main()
