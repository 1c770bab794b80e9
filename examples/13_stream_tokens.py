"""
Stream tokens: a step says what it has while it works, also when it is tried again.

    python examples/13_stream_tokens.py

The model breaks off in its first answer. The reader hears that what it has shown is void.
"""

import subprocess
import sys
from collections.abc import AsyncIterator

import stepflow
from stepflow import Context, OutputReset, OutputView, RetryPolicy, Stepflow, TransientError

app = Stepflow()
calls: list[str] = []


async def model(question: str) -> AsyncIterator[str]:
    calls.append(question)
    for token in ("The moon ", "pulls ", "the sea."):
        if len(calls) == 1 and token == "the sea.":
            raise TransientError("the model broke off")
        yield token


async def write_answer(question: str) -> str:
    answer = ""
    async for token in model(question):
        answer += token
        stepflow.emit(token)
    return answer


@app.workflow("chat", retry=RetryPolicy(initial=0.1))
async def chat(ctx: Context, question: str) -> str:
    return await ctx.step(write_answer, question)


def main() -> None:
    command = [sys.executable, "-m", "stepflow", "worker", "examples.13_stream_tokens:app"]
    worker = subprocess.Popen(command)
    try:
        run = app.client.submit("chat", "Why are there tides?")
        view = OutputView()
        for event in run.output():
            view.apply(event)
            note = " (what was said is void)" if isinstance(event, OutputReset) else ""
            print(f"{event.kind}: {view.text()}{note}")
        print("the same as the result:", view.text() == run.result())
    finally:
        worker.terminate()
        worker.wait()


if __name__ == "__main__":
    main()
