"""`h.mock_model`: what a model answers in a test."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

from stepflow.errors import InvalidOption, shown
from stepflow.testing.mocks import Mock

if TYPE_CHECKING:
    from stepflow.agents.providers.model import Completion, CompletionRequest
    from stepflow.agents.testing.answers import Answer, MockModel


class ModelMocks:
    """The mocks of models in a harness."""

    _lifespans: AsyncExitStack

    def mock(self, name: str, answer: Any = None) -> Mock:
        """See Harness."""
        raise NotImplementedError

    def mock_model(
        self,
        agent: Any,
        answers: Sequence[Answer] | Callable[[CompletionRequest], Answer],
    ) -> MockModel:
        """
        Have the model of *agent* give *answers*: an agent of pydantic-ai, or a provider.

        `h.mock_model(agent, [[("search", {"query": "tides"})], "The moon."])`. An answer is a text,
        a list of calls of tools, or an exception. The n-th goes to a conversation with n answers in
        it; the last one to all after it. For a provider a function of the request may stand for
        them. `requests` lists what was asked: of a provider each CompletionRequest, of an agent the
        messages of each request.
        """
        from stepflow.agents.providers.calls import MODEL, call_once  # noqa: PLC0415  wanted by few
        from stepflow.agents.providers.model import Provider  # noqa: PLC0415  as above
        from stepflow.agents.testing.answers import MockModel  # noqa: PLC0415  as above

        mock = MockModel(answers)
        if isinstance(agent, Provider):
            stand_ins = self.__dict__.setdefault("_stand_ins", {})
            stand_ins[id(agent)] = mock

            async def answer(
                provider: Provider,
                request: CompletionRequest,
                is_patient: bool,  # noqa: FBT001  of a step
            ) -> Completion:
                return await call_once(stand_ins.get(id(provider), provider), request, is_patient)

            self.mock(MODEL, answer)
            return mock
        if not hasattr(agent, "override") or callable(answers):
            msg = f"h.mock_model was given {shown(agent)}: it takes an agent of pydantic-ai and a "
            msg += "list of answers, or a provider"
            raise InvalidOption(msg)
        from stepflow.agents.testing import pydantic_ai_models as models  # noqa: PLC0415  an extra

        self._lifespans.callback(models.use_model, agent, agent.model)
        models.use_model(agent, models.from_mock(mock))
        return mock
