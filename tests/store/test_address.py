"""Redis URLs: what they mean, and that no password is shown."""

import pytest

from stepflow.errors import InvalidOption
from stepflow.store.address import Address, redacted

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
}


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
    ],
)
def test_what_is_no_redis_url_is_refused_with_the_forms_that_are(url):
    with pytest.raises(InvalidOption, match=r"is no Redis URL .*; write redis://\[user:password@\]host"):
        Address.parse(url)


@pytest.mark.parametrize(
    "url",
    [
        "redis://u:s3cret@h:x", "redis://:s3cret@h/x", "redis://u:s3c/s3cret@h", "redis://u:x@s3cret@h:y", "http://u:s3cret@h",
        "redis:u:s3cret@h", "u:s3cret@h", "redis://h/x?password=s3cret", "redis://:s3cret\u2100@h", "redis://[s3cret@h",
    ],
)  # fmt: skip
def test_a_url_that_is_refused_does_not_show_its_password(url):
    """[C40]"""
    with pytest.raises(InvalidOption) as caught:
        Address.parse(url)
    assert "s3cret" not in str(caught.value)
    assert caught.value.__cause__ is None or "s3cret" not in str(caught.value.__cause__)


@pytest.mark.parametrize(
    "url", ["redis://u:s3cret@h:7/2", "unix://:s3cret@/run/redis.sock", "rediss://h?password=s3cret"]
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


def test_redis_py_is_given_the_same_place():
    assert Address.parse("unix://:p@/s?db=1").client_options() == {
        "db": 1, "username": None, "password": "p", "unix_socket_path": "/s",
    }  # fmt: skip
    options = Address.parse("rediss://h:7?ssl_check_hostname=no&ssl_ca_certs=/ca&other=1").client_options()
    assert options == {
        "db": 0, "username": None, "password": None, "host": "h", "port": 7, "ssl": True, "ssl_check_hostname": False,
        "ssl_ca_certs": "/ca",
    }  # fmt: skip


def test_without_tls_there_is_no_context_and_with_it_names_are_checked_unless_told_otherwise():
    assert Address.parse("redis://h").ssl_context() is None
    assert Address.parse("rediss://h").ssl_context().check_hostname
    assert not Address.parse("rediss://h?ssl_check_hostname=false").ssl_context().check_hostname
    assert not Address.parse("rediss://h?ssl_cert_reqs=none").ssl_context().check_hostname
