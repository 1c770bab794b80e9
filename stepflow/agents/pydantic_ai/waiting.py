"""`RequestInput`: a wait of pydantic-ai's for something outside of the run is a question."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

from pydantic_ai.durable_exec import ExternalEventError, ExternalEventWaiter

from stepflow.agents.pydantic_ai.runs import runs_of, workflow
from stepflow.kits.flow.for_libraries import ask_through, branch_at


class QuestionWaiter(ExternalEventWaiter):
    """
    Waits for the answer to a question, whose token is the resume token.

    *prompt* says what is asked, given the name of the wait.
    """

    def __init__(self, run_id: str | None, agent: str, prompt: Callable[[str], str]) -> None:
        self._run_id = run_id
        self._agent = agent
        self._prompt = prompt

    async def wait(
        self, name: str, *, ask: Callable[[str], Awaitable[Any]], timeout: timedelta | None
    ) -> Any:
        ctx = workflow()
        assert ctx is not None, "it is installed for the runs of a workflow"

        async def asked() -> Any:
            return await ask_through(
                ctx, self._prompt(name), timeout, f"{self._agent}.{name}", tell=ask
            )

        key = runs_of(ctx).next_key(self._run_id, f"wait/{name}")
        answer = await branch_at(ctx, asked(), key)
        if answer is None:
            raise ExternalEventError(f"nobody answered {name!r} in {timeout}")
        return answer
