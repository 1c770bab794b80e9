"""
A support agent that may not refund alone: it mails a link, and goes on once somebody opens it.

    python examples/agents/11_support.py    # its model is a script: put a real one in its place
"""

import re
import subprocess
import sys

from pydantic_ai import Agent
from pydantic_ai.messages import ModelResponse, TextPart, ToolCallPart, ToolReturnPart
from pydantic_ai.models.function import FunctionModel
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from stepflow import Stepflow
from stepflow.agents.pydantic_ai import Durable

app = Stepflow()


def model(messages, _):
    last = messages[-1].parts[-1]
    if isinstance(last, ToolReturnPart):
        return ModelResponse(parts=[TextPart(f"I have {last.content}.")])
    return ModelResponse(parts=[ToolCallPart("refund", {"euros": 30})])


def mail(question):
    print(f"mail: {question.prompt} /yes/{question.token}", flush=True)


agent = Agent(FunctionModel(model), name="support", capabilities=[Durable(notify=mail)])
app.agent("support", agent)


@agent.tool_plain(requires_approval=True, metadata={"stepflow": {"ask": "Refund {euros} euros?"}})
def refund(euros: int) -> str:
    return f"refunded {euros} euros"


async def yes(request):
    await app.async_client.answer(request.path_params["token"], value=True)
    return PlainTextResponse("Thank you.")


if __name__ == "__main__":
    command = [sys.executable, "-m", "stepflow", "worker", "examples.agents.11_support:app"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as worker:
        run = app.client.submit("support", "My kite arrived broken.")
        print(sent := worker.stdout.readline(), end="")
        site = TestClient(Starlette(routes=[Route("/yes/{token}", yes)]))
        print("page:", site.get(re.search(r"/yes/\S+", sent)[0]).text)
        print("agent:", run.result(timeout=30))
        worker.terminate()
