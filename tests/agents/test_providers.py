"""[A10] [A14] Providers, what `Resilient` does about failures, and routes."""

from __future__ import annotations

from contextlib import suppress
from itertools import count

import pytest

from stepflow import InvalidOption, RetryPolicy, RunFailed, Stepflow, TransientError
from stepflow.agents.providers import (
    Completion,
    CompletionRequest,
    Message,
    PromptTooLong,
    ProviderFailed,
    ProviderOverloaded,
    ProviderRejected,
    QuotaExhausted,
    Resilient,
    Usage,
)
from stepflow.settings import Settings
from stepflow.testing import Harness
from tests.agents.scripted import Calling, InTurn, Scripted

REQUEST = CompletionRequest((Message("system", "be brief"), Message("user", "go")))
QUICK = RetryPolicy(max_attempts=3, initial=0)


@pytest.fixture
async def h():
    async with Harness(Stepflow("redis://nowhere", settings=Settings())) as h:
        yield h


@pytest.fixture(params=["in a workflow", "outside"])
def ask(request, h):
    """What completes a request by a provider: its steps remembered, or just so."""

    serial = count()

    async def ask(provider):
        if request.param == "outside":
            return await provider.complete(REQUEST)

        @h.app.workflow(f"ask{next(serial)}")
        async def workflow(ctx) -> Completion:
            done = await ctx.tool_loop(provider, [], REQUEST.messages, retry=QUICK)
            return Completion(done.text, usage=done.usage, ledger=done.ledger)

        handle = await h.submit(workflow)
        await h.advance(600)
        return await h.result(handle)

    return ask


def outcomes(completion):
    return [(each.provider, each.outcome) for each in completion.ledger]


async def test_a_transient_error_is_tried_again_and_each_try_is_in_the_ledger(ask):
    first = InTurn([ProviderFailed("first", "no"), TransientError("no"), "yes"], "first")
    done = await ask(Resilient(first, [InTurn(["never"])], retry=QUICK))
    assert done.text == "yes"
    assert outcomes(done) == [("first", "transient")] * 2 + [("first", "stop")]


async def test_an_overloaded_provider_gives_way_to_the_next_each_once(ask):
    first = InTurn([ProviderOverloaded("first", "no", retry_after=60)], "first")
    second = InTurn([QuotaExhausted("second", "no")], "second")
    third = InTurn(["yes"], "third")
    done = await ask(Resilient(first, [second, third], retry=QUICK))
    assert (done.text, len(first.requests), len(second.requests)) == ("yes", 1, 1)
    assert outcomes(done) == [("first", "overloaded"), ("second", "quota"), ("third", "stop")]
    assert done.usage == done.ledger[-1].usage


async def test_a_provider_that_fails_for_good_gives_way_after_its_attempts(ask):
    first, second = InTurn([ProviderFailed("first", "no")], "first"), InTurn(["yes"], "second")
    done = await ask(Resilient(first, [second], retry=QUICK))
    assert outcomes(done) == [("first", "transient")] * 3 + [("second", "stop")]


async def test_when_all_are_overloaded_each_was_asked_once(ask):
    providers = [InTurn([ProviderOverloaded(name, "no")], name) for name in "abc"]
    with pytest.raises((RunFailed, Exception), match="'c' failed: no"):
        await ask(Resilient(providers[0], providers[1:], retry=QUICK))
    assert [len(each.requests) for each in providers] == [1, 1, 1]


async def test_what_was_refused_is_refused_by_all_and_nobody_else_is_asked(ask):
    second = InTurn(["never"])
    with pytest.raises((RunFailed, ProviderRejected), match="bad request"):
        await ask(Resilient(InTurn([ProviderRejected("first", "bad request")]), [second]))
    assert second.requests == []


async def test_an_answer_that_is_cut_off_gets_twice_the_room_up_to_the_ceiling(ask):
    cut = Completion("so f", finish="length", usage=Usage(1, 30, 0, 1))
    model = InTurn([cut, cut, "so far"])
    done = await ask(Resilient(model, double_max_tokens=100))
    assert [each.max_tokens for each in model.requests] == [None, 60, 100]
    assert (done.text, outcomes(done)) == (
        "so far",
        [("in-turn", "length")] * 2 + [("in-turn", "stop")],
    )
    assert done.usage.output_tokens == 61
    endless = InTurn([cut])
    with suppress(RunFailed):  # a loop takes no answer that is cut off
        await ask(Resilient(endless, double_max_tokens=100))
    assert len(endless.requests) == 3


async def test_a_prompt_that_is_too_long_is_shortened_once(ask):
    shortened = []

    def shorten(messages):
        shortened.append(len(messages))
        return messages[-1:]

    model = InTurn([PromptTooLong("m", "no"), "yes"])
    done = await ask(Resilient(model, on_too_long=shorten))
    assert (done.text, len(model.requests[1].messages)) == ("yes", 1)
    stubborn = InTurn([PromptTooLong("m", "no")])
    with pytest.raises((RunFailed, PromptTooLong), match="refused the request: no"):
        await ask(Resilient(stubborn, [InTurn(["never"])], on_too_long=shorten))
    assert len(stubborn.requests) == 2


def test_resilient_takes_providers_that_call_a_model():
    with pytest.raises(InvalidOption, match="providers that call a model"):
        Resilient(Scripted(["a"]), ["openai:gpt-5"])


ROUTES = {"refund": "wants money back", "other": "anything else"}


#: what is asked, what the model says, and the route
CHOICES = [
    ("a", [("choose_route", {"route": "refund"})], "refund"),
    ("b", [("choose_route", {"route": None})], "none"),
    ("c", [("choose_route", {"route": "refund please"})], "none"),
    ("d", [("choose_route", "{")], "none"),
    ("e", [("choose_route", "[]")], "none"),
    ("deep", [("choose_route", "[" * 100_000)], "none"),
    ("f", "refund", "refund"),
    ("g", "I would refund that", "none"),
    ("h", "", "none"),
    ("  ", "refund", "none"),
]


async def test_a_route_is_one_of_those_given_word_for_word(h):
    said = {text: answer for text, answer, _ in CHOICES}
    model = Calling(lambda request: said[request.messages[-1].text])

    @h.app.workflow
    async def choose(ctx) -> list[str]:
        return [
            await ctx.route(model, text, ROUTES, default="none")
            for text in [*said, *said]  # each a second time: it is remembered
        ]

    assert await h.result(await h.submit(choose)) == [route for *_, route in CHOICES] * 2
    assert len(model.requests) == len(CHOICES) - 1  # an empty text is no question
    for request in model.requests:
        assert request.answer.parameters["properties"]["route"]["enum"] == [*ROUTES, None]


async def test_routes_that_lead_nowhere_are_refused(h):
    @h.app.workflow
    async def choose(ctx) -> None:
        await ctx.route(Scripted(["a"]), "text", {})

    with pytest.raises(RunFailed, match="name each, with what it is for"):
        await h.result(await h.submit(choose))
