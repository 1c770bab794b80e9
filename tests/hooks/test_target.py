"""What may be written as a webhook's URL, and how it is shown."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepflow.errors import WebhookRefused
from stepflow.hooks.target import read_target, shown


@pytest.mark.parametrize(
    ("url", "origin", "host_header", "path"),
    [
        ("https://example.com", "example.com:443", "example.com", "/"),
        ("HTTPS://Example.COM/Hook", "example.com:443", "example.com", "/Hook"),
        ("http://example.com:8080/a?b=c#part", "example.com:8080", "example.com:8080", "/a?b=c"),
        ("http://example.com:80", "example.com:80", "example.com", "/"),
        ("https://example.com?x=1", "example.com:443", "example.com", "/?x=1"),
        ("https://[2606:4700::1]:444/x", "[2606:4700::1]:444", "[2606:4700::1]:444", "/x"),
        ("https://8.8.8.8/a%2Fb", "8.8.8.8:443", "8.8.8.8", "/a%2Fb"),
        ("https://my_host.internal/", "my_host.internal:443", "my_host.internal", "/"),
    ],
)
def test_a_url_is_taken_apart(url: str, origin: str, host_header: str, path: str) -> None:
    target = read_target(url)
    assert (target.origin, target.host_header, target.path) == (origin, host_header, path)


def test_the_host_gives_way_to_an_address_and_the_rest_stays() -> None:
    assert (
        read_target("https://example.com/a?b=c").at("2606:4700::1")
        == "https://[2606:4700::1]:443/a?b=c"
    )


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com/hook",
        "//example.com",
        "ftp://example.com",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "https://",
        "https:///path",
        "https://user@example.com",
        "https://user:pw@example.com",
        "https://example.com:0",
        "https://example.com:65536",
        "https://example.com:http",
        "https://example.com:",
        "https://example..com",
        "https://.example.com",
        "https://example.com.",
        "https://" + "a" * 64 + ".com",
        "https://" + "a." * 130 + "com",
        "https://[fe80::1%25eth0]/",
        "https://[fe80::1%eth0]/",
        "https://[::1",
        "https://[1.2.3.4]/",
        "https://[12345::]/",
        "https://::1/",
        "https://exa%6dple.com",
        "https://127%2e0.0.1",
        "https://exam ple.com",
        " https://example.com",
        "https://example.com\n",
        "https://example.com/\r\nx: y",
        "https://example.com\\@10.0.0.1/",
        "https://ex\u00e4mple.com",
        "https://\u2460\u2461\u2466.0.0.1",  # getaddrinfo reads these digits as 127
        "https://127\u30020\u30020\u30021",
        # numbers that getaddrinfo takes for 127.0.0.1 and friends
        "http://2130706433",
        "http://0x7f000001",
        "http://0x7f.1",
        "http://0177.0.0.1",
        "http://127.1",
        "http://127.0.1",
        "http://127.0.0.1.",
        "http://127.0.0.0x1",
        "http://1.2.3.4.5",
        "http://256.1.1.1",
        "http://0",
        "http://0x",
        "http://010.8.8.8",
        None,
        7,
        b"https://example.com",
    ],
)
def test_a_url_of_another_form_is_refused(url: object) -> None:
    with pytest.raises(WebhookRefused):
        read_target(url)


@pytest.mark.parametrize(
    ("url", "as_shown"),
    [
        ("https://example.com/hook", "https://example.com/hook"),
        (
            "https://example.com/hook?token=s3cret&n=1&flag",
            "https://example.com/hook?token=***&n=***&***",
        ),
        (
            "https://hooks.example.com/services/T01/B02/abcdEFGH0123456789xyzw",
            "https://hooks.example.com/services/T01/B02/abcd***",
        ),
        ("https://example.com/#token=s3cret", "https://example.com/"),
        ("https://user:s3cret@example.com/", "<a URL that cannot be shown>"),
        ("https://user:1/s3cret@example.com/", "<a URL that cannot be shown>"),
        ("https://user:s3cret/example.com", "<a URL that cannot be shown>"),
        ("s3cret", "<not a URL>"),
        (None, "<not a URL>"),
        ("https://example.com/a\nlog line", "https://example.com/a?log?line"),
    ],
)
def test_a_url_is_shown_without_what_may_be_secret(url: object, as_shown: str) -> None:
    assert shown(url) == as_shown


@given(st.text())
def test_any_text_is_shown_or_refused_in_one_short_printable_line(text: str) -> None:
    for url in (text, f"https://example.com/{text}", f"https://{text}/"):
        line = shown(url)
        assert line.isprintable()
        assert line.isascii()
        assert len(line) <= 300
        with suppress(WebhookRefused):
            read_target(url)
