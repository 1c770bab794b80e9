"""The webhook as a value."""

import msgpack
import pytest

from stepflow.errors import InvalidOption, UnreadableValue, WebhookRefused
from stepflow.hooks import Webhook
from stepflow.hooks.given import host_of, with_headers

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OLD = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
URL = "https://example.com/hook"


def test_a_webhook_takes_a_url_and_a_secret_and_hears_of_every_end() -> None:
    webhook = Webhook(URL, SECRET)
    assert [
        webhook.wants(status) for status in ("succeeded", "failed", "cancelled", "running")
    ] == [True] * 3 + [False]


def test_a_webhook_hears_only_of_the_ends_it_names() -> None:
    webhook = Webhook(URL, events=["failed"])
    assert webhook.wants("failed")
    assert not webhook.wants("succeeded")


def test_a_webhook_comes_back_from_storage_as_it_was() -> None:
    webhook = Webhook(
        URL, SECRET, previous_secret=OLD, events=["failed", "cancelled"], headers={"X-Team": "a"}
    )
    assert Webhook.from_dict(msgpack.unpackb(msgpack.packb(webhook.as_dict()))) == webhook
    assert hash(Webhook.from_dict(webhook.as_dict())) == hash(webhook)
    assert Webhook.from_dict(webhook.as_dict()) != Webhook(URL, SECRET)


@pytest.mark.parametrize(
    "stored", [{}, {"url": "nowhere"}, {"url": URL, "secret": "tell-no-one"}, {"url": URL, "no": 1}]
)
def test_something_else_in_storage_is_said_to_be_unreadable_and_not_quoted(
    stored: dict[str, object],
) -> None:
    with pytest.raises(UnreadableValue) as caught:
        Webhook.from_dict(stored)
    assert "tell-no-one" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_url_of_the_wrong_form_is_refused_at_once() -> None:
    with pytest.raises(WebhookRefused, match="user name or password"):
        Webhook("https://me:pw@example.com")


@pytest.mark.parametrize(
    "secret",
    [
        "",
        "whsec_",
        "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "whsec_not base64!",
        "whsec_a-b_",
        "whsec_\u00e4",
        7,
        b"whsec_AAAA",
    ],
)
def test_a_secret_of_the_wrong_form_is_refused_and_not_quoted(secret: object) -> None:
    with pytest.raises(InvalidOption) as caught:
        Webhook(URL, secret)  # type: ignore[arg-type]
    assert str(caught.value) in {
        "secret must start with 'whsec_', followed by base64",
        "secret has no valid base64 after 'whsec_'",
    }


def test_a_secret_may_lack_its_padding() -> None:
    assert Webhook(URL, "whsec_c2VjcmV0IQ").secret == "whsec_c2VjcmV0IQ"


def test_a_previous_secret_needs_a_new_one() -> None:
    with pytest.raises(InvalidOption, match="give the new one as secret"):
        Webhook(URL, previous_secret=OLD)


@pytest.mark.parametrize("events", [(), "failed", ["running"], ["succeeded", "finished"], [1]])
def test_events_are_one_or_more_of_the_three_ends(events: object) -> None:
    with pytest.raises(InvalidOption, match="events"):
        Webhook(URL, events=events)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "name",
    [
        "Host",
        "webhook-id",
        "Webhook-Signature",
        "content-type",
        "Content-Length",
        "a b",
        "",
        "x:y",
        1,
    ],
)
def test_headers_of_the_delivery_itself_cannot_be_set(name: object) -> None:
    with pytest.raises(InvalidOption, match="cannot be set"):
        Webhook(URL, headers={name: "x"})  # type: ignore[dict-item]


@pytest.mark.parametrize("value", ["s3cret\r\nx: y", "s3cret ", " s3cret", "s3cret\u00e4", 5, None])
def test_a_header_value_that_could_not_be_sent_is_refused_and_not_quoted(value: object) -> None:
    with pytest.raises(InvalidOption, match="authorization") as caught:
        Webhook(URL, headers={"authorization": value})  # type: ignore[dict-item]
    assert "s3cret" not in str(caught.value)


def test_a_webhook_shows_where_it_goes_and_none_of_its_secrets() -> None:
    webhook = Webhook(
        URL + "?token=s3cret",
        SECRET,
        previous_secret=OLD,
        events=("failed",),
        headers={"authorization": "s3cret"},
    )
    for text in (repr(webhook), str(webhook), f"{webhook}", repr([webhook]), repr(webhook.target)):
        assert not any(word in text for word in ("s3cret", SECRET, OLD, "MfKQ", "C2FV"))
    assert repr(webhook) == (
        "Webhook('https://example.com/hook?token=***', secret=***, events=('failed',), "
        "headers=['authorization'])"
    )
    assert "unsigned" in repr(Webhook(URL))


def test_a_secret_that_the_environment_holds_is_stored_by_its_name_and_read_when_it_is_needed() -> (
    None
):
    """[B28]"""
    webhook = Webhook(
        URL,
        secret_env="NEW",
        previous_secret_env="OLD_ONE",
        headers_env={"authorization": "TEAM_WEBHOOK_TOKEN"},
    )
    stored = Webhook.from_dict(webhook.as_dict())
    assert stored == webhook
    assert webhook.in_clear == []
    assert repr(webhook) == (
        "Webhook('https://example.com/hook', secret_env='NEW', events=('succeeded', 'failed', "
        "'cancelled'), "
        "headers=['authorization'])"
    )
    known = stored.resolved({"NEW": SECRET, "OLD_ONE": OLD, "TEAM_WEBHOOK_TOKEN": "Bearer s3cret"})
    assert (known.secret, known.previous_secret, known.headers) == (
        SECRET,
        OLD,
        {"authorization": "Bearer s3cret"},
    )


@pytest.mark.parametrize(
    ("given", "variables", "words"),
    [
        (
            {"secret_env": "MINE"},
            {},
            "environment variable MINE, which holds the webhook's secret, is not set",
        ),
        ({"secret_env": "MINE"}, {"MINE": ""}, "environment variable MINE"),
        (
            {"secret_env": "MINE"},
            {"MINE": "s3cret"},
            "the value of environment variable MINE must start with 'whsec_'",
        ),
        ({"secret": SECRET, "previous_secret_env": "MINE"}, {}, "MINE"),
        (
            {"headers_env": {"a": "MY_WEBHOOK"}},
            {},
            "MY_WEBHOOK, which holds the webhook's header a, is not set",
        ),
        (
            {"headers_env": {"a": "MY_WEBHOOK"}},
            {"MY_WEBHOOK": "s3cret\n"},
            "the value of webhook header 'a'",
        ),
    ],
)
def test_a_variable_that_does_not_hold_what_it_should_is_named_and_not_quoted(
    given, variables, words
) -> None:  # type: ignore[no-untyped-def]
    """[B28]"""
    with pytest.raises(InvalidOption) as caught:
        Webhook(URL, **given).resolved(variables)
    assert words in str(caught.value)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    "given",
    [
        {"secret": SECRET, "secret_env": "MINE"},
        {"previous_secret_env": "MINE"},
        {"secret_env": "not a name"},
        {"secret_env": ""},
        {"headers_env": {"a": "AWS_SECRET_ACCESS_KEY"}},
        {"headers_env": {"webhook-id": "MY_WEBHOOK"}},
        {"headers_env": {"A": "MY_WEBHOOK"}, "headers": {"a": "b"}},
    ],
)
def test_what_cannot_be_read_from_the_environment_is_refused(given) -> None:  # type: ignore[no-untyped-def]
    """[B28] A header is sent as it stands: only a variable that is meant for that."""
    with pytest.raises(InvalidOption):
        Webhook(URL, **given)


def test_what_stands_in_clear_is_known() -> None:
    """[B28]"""
    webhook = Webhook(f"{URL}?key=s3cret", SECRET, headers={"authorization": "s3cret"})
    assert webhook.in_clear == ["the secret", "header authorization", "the query of its URL"]


def test_headers_that_are_added_do_not_replace_its_own() -> None:
    """However these are written, and wherever their values come from."""
    trace = {"traceparent": "00-1-2-01", "tracestate": "a=b"}
    webhook = Webhook(
        URL, headers={"TraceParent": "mine"}, headers_env={"Tracestate": "MY_WEBHOOK_STATE"}
    )
    assert with_headers(webhook, trace) == webhook
    added = with_headers(Webhook(URL, headers={"x-a": "1"}).as_dict(), trace)
    assert added.headers == {"x-a": "1", **trace}
    assert with_headers(webhook, {}) is webhook


def test_a_stored_webhook_that_cannot_be_read_gets_no_headers_and_has_no_host() -> None:
    """Who delivers it says what is wrong."""
    for stored in ({}, {"url": 7}, {"url": "http://[x"}):
        assert with_headers(stored, {"traceparent": "00-1-2-01"}) is stored
        assert host_of(stored) == ""
    assert host_of({"url": "https://u:p@example.com:8443/x?key=1"}) == "example.com"
