"""Redis URLs: what they mean, and that no password is shown."""

import pytest

from stepflow.errors import InvalidOption
from stepflow.settings import RedisSettings
from stepflow.store.connection.address import Address, Times, redacted, redacted_url

FORMS = {
    "redis://": Address(),
    "redis://h": Address("h"),
    "valkey://h:7000/3": Address("h", 7000, db=3),
    "redis://h/?db=4": Address("h", db=4),
    "redis://:p%40ss@h": Address("h", password="p@ss"),
    "redis://u:p@h:1/2": Address("h", 1, db=2, username="u", password="p"),
    "redis://h?username=u&password=p": Address("h", username="u", password="p"),
    "rediss://h": Address("h", tls=True),
    "valkeys://h?ssl_cert_reqs=none": Address("h", tls=True, options=(("ssl_cert_reqs", "none"),)),
    "unix:///run/redis.sock": Address(path="/run/redis.sock"),
    "unix:///run/a%20b.sock?db=2": Address(path="/run/a b.sock", db=2),
    "unix://u:p@/run/redis.sock": Address(path="/run/redis.sock", username="u", password="p"),
    "redis://[::1]:7": Address("::1", 7),
    "redis://viewer:@h": Address("h", username="viewer"),
    "redis+sentinel://s/main": Address("s", 26379, service="main", sentinels=(("s", 26379),)),
    "valkey+sentinel://u:p@a:1,b,[::1]:3/main/2": Address(
        "a", 1, db=2, username="u", password="p", service="main",
        sentinels=(("a", 1), ("b", 26379), ("::1", 3)),
    ),
    "rediss+sentinel://a/main?db=3&sentinel_username=s&sentinel_password=q": Address(
        "a", 26379, db=3, tls=True, service="main", sentinels=(("a", 26379),),
        options=(("sentinel_password", "q"), ("sentinel_username", "s")),
    ),
}  # fmt: skip


@pytest.mark.parametrize("url", FORMS)
def test_each_form_of_url_is_read(url):
    assert Address.parse(url) == FORMS[url]


@pytest.mark.parametrize(
    "url",
    [
        "",
        "h",
        "http://h",
        "redis+tls://h",
        "redis://h:x",
        "redis://h:99999",
        "redis://h/x",
        "redis://[::1",
        "localhost:6379",
        "redis://h/-1",
        "redis://h/1_0",
        "redis://h/1/2",
        "redis://h/1?db=2",
        "redis://h?db=",
        "redis://h:0",
        "redis://h:+6",
        "redis://a,b/0",
        "redis://::1/0",
        "redis://h/0#x",
        "unix://",
        "unix://run/redis.sock",
        "unix+sentinel://h/main",
        "redis+sentinel://h",
        "redis+sentinel://h/main/x",
        "redis+sentinel://h/main/1/2",
        "redis+sentinel://h,,i/main",
        "redis+sentinel://h:99999/main",
    ],
)
def test_what_is_no_redis_url_is_refused_with_the_forms_that_are(url):
    with pytest.raises(
        InvalidOption, match=r"is not a Redis URL .*; write redis://\[user:password@\]host"
    ):
        Address.parse(url)


@pytest.mark.parametrize(
    "url",
    [
        "redis://u:s3cret@h:x", "redis://:s3cret@h/x", "redis://u:s3c/s3cret@h",
        "redis://u:x@s3cret@h:y", "http://u:s3cret@h", "redis:u:s3cret@h", "u:s3cret@h",
        "redis://h/x?password=s3cret", "redis://:s3cret\u2100@h", "redis://[s3cret@h",
    ],
)  # fmt: skip
def test_a_url_that_is_refused_does_not_show_its_password(url):
    """[C40]"""
    with pytest.raises(InvalidOption) as caught:
        Address.parse(url)
    assert "s3cret" not in str(caught.value)
    assert caught.value.__cause__ is None or "s3cret" not in str(caught.value.__cause__)


@pytest.mark.parametrize(
    "url",
    ["redis://u:s3cret@h:7/2", "unix://:s3cret@/run/redis.sock", "rediss://h?password=s3cret"],
)
def test_an_address_shows_where_it_points_and_not_how_to_log_in(url):
    """[C40]"""
    address = Address.parse(url)
    assert address.password == "s3cret"
    assert "s3cret" not in repr(address) + str(address) + address.shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("no answer from redis://u:p@h:1/2 now", "no answer from redis://***@h:1/2 now"),
        ("redis://:p@h and unix://:q@/s", "redis://***@h and unix://***@/s"),
        ("redis://u:a/b@c@h", "redis://***@h"),
        ("redis://h?password=p&db=1", "redis://h?password=***&db=1"),
        ("redis://h:1/2 is fine, a@b too", "redis://h:1/2 is fine, a@b too"),
    ],
)
def test_passwords_are_taken_out_of_any_text(text, shown):
    """[C40]"""
    assert redacted(text) == shown


def test_the_handshake_logs_in_and_chooses_the_database():
    assert Address.parse("redis://u:p@h/2").handshake("me") == [
        ("AUTH", "u", "p"),
        ("SELECT", "2"),
        ("CLIENT", "SETNAME", "me"),
    ]
    assert Address.parse("redis://:p@h").handshake(None) == [("AUTH", "p")]
    assert Address.parse("redis://h").handshake(None) == []


def test_without_tls_there_is_no_context_and_with_it_names_are_checked_unless_told_otherwise():
    assert Address.parse("redis://h").ssl_context() is None
    assert Address.parse("rediss://h").ssl_context().check_hostname
    assert not Address.parse("rediss://h?ssl_check_hostname=false").ssl_context().check_hostname
    assert not Address.parse("rediss://h?ssl_cert_reqs=none").ssl_context().check_hostname


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("foo=bar", "there is no option 'foo'; there are db, username"),
        ("ssl_ca_cert=/x", "no option 'ssl_ca_cert'; did you mean 'ssl_ca_certs'?"),
        ("DB=1", "no option 'DB'"),
        ("socket_timeout=5", "time limits are settings, STEPFLOW_REDIS_"),
        ("db=-1", "option 'db' is '-1', no number of a database"),
        ("db=1&db=2", "option 'db' is given twice"),
        (
            "ssl_cert_reqs=maybe",
            "option 'ssl_cert_reqs' is 'maybe'; write none, optional, required",
        ),
        (
            "ssl_check_hostname=perhaps",
            "option 'ssl_check_hostname' is 'perhaps'; write true or false",
        ),
        (
            "ssl_ca_certs=/nowhere/ca.pem",
            "option 'ssl_ca_certs' is '/nowhere/ca.pem', and there is no such file",
        ),
        ("ssl_ca_certs=", "option 'ssl_ca_certs' is empty"),
        ("ssl_keyfile=" + __file__, "'ssl_keyfile' needs 'ssl_certfile'"),
        ("ssl_certfile=" + __file__, "the files of its ssl_ options do not fit"),
        ("ssl_ca_certs=" + __file__, "the files of its ssl_ options do not fit"),
        ("sentinel_password=x", "option 'sentinel_password' is for redis+sentinel:// URLs"),
    ],
)
def test_an_option_that_is_unknown_or_wrong_is_refused_by_name(query, words):
    """[B22]"""
    with pytest.raises(InvalidOption) as caught:
        Address.parse(f"rediss://h?{query}")
    assert words in str(caught.value)


def test_an_option_of_tls_without_tls_is_refused():
    """[B22]"""
    with pytest.raises(InvalidOption, match="'ssl_cert_reqs' is for TLS: write rediss://"):
        Address.parse("redis://h?ssl_cert_reqs=none")


@pytest.mark.parametrize(
    "password",
    ["my s3cret", "it's s3cret", 's3c"ret x', "a@s3cret b", "s3cret%20/@ x", "1/s3cret y@z"],
)
def test_a_password_with_any_character_is_taken_out_of_every_text(password):
    """[B22] Also out of one that quotes the URL although it is none."""
    url = f"redis://u:{password}@h:nonsense/0"
    with pytest.raises(InvalidOption) as caught:
        Address.parse(url)
    text = f"config: {url} and {url!s}; done"
    for shown in (str(caught.value), redacted(text), redacted_url(url)):
        assert "s3c" not in shown
        assert "***@h:nonsense/0" in shown


@pytest.mark.parametrize("option", ["password", "sentinel_password", "ssl_password"])
def test_a_password_in_the_query_is_taken_out_whole(option):
    """[B22]"""
    url = f"redis+sentinel://h/main/x?{option}=my s3cret word&db=1"
    with pytest.raises(InvalidOption) as caught:
        Address.parse(url)
    for shown in (str(caught.value), redacted(f"text with {url} in it"), redacted_url(url)):
        assert "s3cret" not in shown
        assert "word&" not in shown
        assert f"{option}=***" in shown


def test_a_password_with_spaces_is_taken_out_of_a_text_nobody_has_read_before():
    """[B22]"""
    assert (
        redacted("no answer from redis://u:my unread word@h:1/2 now")
        == "no answer from redis://***@h:1/2 now"
    )


def test_the_time_limits_of_the_settings_go_with_the_address():
    """[B22]"""
    settings = RedisSettings(connect_timeout_s=1, reply_timeout_s=2, retry_for_s=3)
    assert Address.parse("redis://h", settings).times == Times(1, 2, 3)
