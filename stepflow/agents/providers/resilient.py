"""A provider that knows what to do when a call fails: another provider, more room, less text."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace

from stepflow.agents.providers.calls import Caller, DirectCaller
from stepflow.agents.providers.errors import cut_of, kind_of, tries_of
from stepflow.agents.providers.model import (
    Completion,
    CompletionRequest,
    LedgerEntry,
    Message,
    Provider,
    Usage,
)
from stepflow.core.backoff import RetryPolicy
from stepflow.errors import InvalidOption, shown

#: makes a conversation shorter
Shorten = Callable[[tuple[Message, ...]], Sequence[Message] | Awaitable[Sequence[Message]]]

#: failures that another provider may not have
_NEXT = frozenset({"overloaded", "quota", "transient"})


class Resilient:
    """
    Calls *primary*, and what else it takes to get an answer.

        transient error     tried again by the retry policy of the call; then the next fallback
        overloaded, quota   the next fallback at once; each provider has its turn once
        cut off             asked again with twice the max_tokens, up to *double_max_tokens*
        prompt too long     *on_too_long* shortens the messages, once; it may call `ctx`

    In a workflow each call is a step of its own, and each try stands in the `ledger` of the
    Completion. Raises what the last call raised.
    """

    def __init__(
        self,
        primary: Provider,
        fallbacks: Sequence[Provider] = (),
        *,
        on_too_long: Shorten | None = None,
        double_max_tokens: int | None = None,
        retry: RetryPolicy | None = None,
    ) -> None:
        self.providers = (primary, *fallbacks)
        for provider in self.providers:
            if not isinstance(provider, Provider) or isinstance(provider, Resilient):
                msg = f"Resilient was given {shown(provider)}; it takes providers that call a model"
                raise InvalidOption(msg)
        self._on_too_long = on_too_long
        self._ceiling = double_max_tokens
        self._direct = DirectCaller(retry or RetryPolicy())

    @property
    def name(self) -> str:
        return self.providers[0].name

    async def complete(self, request: CompletionRequest) -> Completion:
        """Answer outside a workflow."""
        return await self.carry(request, self._direct)

    async def carry(self, request: CompletionRequest, call: Caller) -> Completion:
        """Answer by *call*, which makes one call and remembers it."""
        return await _Carrying(call, self._on_too_long, self._ceiling).carry(
            request, self.providers
        )


class _Carrying:
    """One answer on its way."""

    def __init__(self, call: Caller, on_too_long: Shorten | None, ceiling: int | None) -> None:
        self._call = call
        self._on_too_long = on_too_long
        self._ceiling = ceiling
        self._ledger: list[LedgerEntry] = []

    async def carry(self, request: CompletionRequest, providers: Sequence[Provider]) -> Completion:
        """Ask the providers in turn."""
        for provider in providers[:-1]:
            try:
                return await self._ask(provider, request)
            except Exception as error:
                if kind_of(error) not in _NEXT:
                    raise
        return await self._ask(providers[-1], request)

    async def _ask(self, provider: Provider, request: CompletionRequest) -> Completion:
        """Ask one provider until it has said all that it may say."""
        while True:
            try:
                completion = await self._call(provider, request, is_patient=False)
            except Exception as error:
                shorter = await self._after(error, provider, request)
                if shorter is None:
                    raise
                request = shorter
                continue
            self._note(
                provider, completion.finish, request, completion.usage, completion.tries,
                dict(completion.cut),
            )  # fmt: skip
            room = self._more_room(request, completion)
            if room is None:
                usage = sum((entry.usage for entry in self._ledger), Usage())
                return replace(completion, usage=usage, ledger=tuple(self._ledger), cut=())
            request = replace(request, max_tokens=room)

    async def _after(
        self, error: Exception, provider: Provider, request: CompletionRequest
    ) -> CompletionRequest | None:
        """Note a failed call; return what to ask instead of it, if anything."""
        kind = kind_of(error)
        tries, cut = tries_of(error), cut_of(error)
        used = Usage(output_tokens=cut.get(tries, 0))
        self._note(provider, kind, request, used, tries, cut)
        if kind != "prompt_too_long" or self._on_too_long is None:
            return None
        shorten, self._on_too_long = self._on_too_long, None
        made = shorten(request.messages)
        return replace(request, messages=tuple(await made if inspect.isawaitable(made) else made))

    def _more_room(self, request: CompletionRequest, completion: Completion) -> int | None:
        """Return the max_tokens with which to ask again for an answer that was cut off."""
        had = request.max_tokens or completion.usage.output_tokens
        if completion.finish != "length" or self._ceiling is None or not 0 < had < self._ceiling:
            return None
        return min(2 * had, self._ceiling)

    def _note(
        self,
        provider: Provider,
        outcome: str,
        request: CompletionRequest,
        usage: Usage,
        tries: int,
        cut: Mapping[int, int],
    ) -> None:
        """Note a call of so many *tries*; *cut* has the tokens of those that were cut off."""
        for attempt in range(1, tries):
            used = Usage(output_tokens=cut.get(attempt, 0))
            self._ledger.append(LedgerEntry(provider.name, "transient", used, request.max_tokens))
        self._ledger.append(LedgerEntry(provider.name, outcome, usage, request.max_tokens))
