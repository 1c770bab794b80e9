"""Where a webhook may go: a table of addresses, both ways."""

from collections.abc import Callable, Sequence

import pytest

from stepflow.errors import InvalidOption, WebhookRefused
from stepflow.hooks.ssrf import CLOSED, Allowlist, Lookup, check_address, check_url, resolve

REFUSED = {
    # this host, private and shared networks
    "0.0.0.0": "this network",
    "0.1.2.3": "this network",
    "10.0.0.1": "private",
    "10.255.255.255": "private",
    "100.64.0.1": "carriers",
    "100.127.255.255": "carriers",
    "127.0.0.1": "loopback",
    "127.255.255.254": "loopback",
    "169.254.1.1": "link-local",
    "172.16.0.1": "private",
    "172.31.255.255": "private",
    "192.168.0.1": "private",
    "::": "unspecified",
    "::1": "loopback",
    "fc00::1": "private",
    "fdff:ffff::1": "private",
    "fe80::1": "link-local",
    "febf::1": "link-local",
    "fec0::1": "site-local",
    "feff::1": "site-local",
    # where clouds answer with credentials
    "169.254.169.254": "metadata",
    "169.254.170.2": "link-local",
    "100.100.100.200": "metadata",
    "192.0.0.192": "metadata",
    "168.63.129.16": "host service",
    "fd00:ec2::254": "metadata",
    "fd20:ce::254": "metadata",
    # IPv4 in IPv6 form, harmless inside or not
    "::ffff:127.0.0.1": "mapped",
    "::ffff:8.8.8.8": "mapped",
    "::ffff:0:127.0.0.1": "translated",
    "::127.0.0.1": "compatible",
    "::8.8.8.8": "compatible",
    "64:ff9b::a9fe:a9fe": "NAT64",
    "64:ff9b::808:808": "NAT64",
    "64:ff9b:1::a9fe:a9fe": "NAT64",
    "64:ff9b:1:ffff::1": "NAT64",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2": "Teredo",
    "2002:7f00:1::": "6to4",
    "2002:808:808::1": "6to4",
    "2606:4700::5efe:7f00:1": "ISATAP",
    "2606:4700::200:5efe:a9fe:a9fe": "ISATAP",
    "192.88.99.1": "6to4",
    "192.52.193.1": "AMT",
    # for protocols, tests and books
    "192.0.0.1": "protocols",
    "192.0.0.170": "protocols",
    "192.0.2.1": "documentation",
    "198.51.100.1": "documentation",
    "203.0.113.1": "documentation",
    "2001:db8::1": "documentation",
    "3fff::1": "documentation",
    "3fff:fff::1": "documentation",
    "198.18.0.1": "benchmarks",
    "198.19.255.255": "benchmarks",
    "2001:2::1": "protocols",
    "2001:10::1": "protocols",
    "2001:20::1": "protocols",
    "2001:1ff::1": "protocols",
    "192.31.196.1": "AS112",
    "192.175.48.1": "AS112",
    "2620:4f:8000::1": "AS112",
    "5f00::1": "segment routing",
    "100::1": "discard",
    "100:0:0:1::1": "dummy",
    "3ffe::1": "6bone",
    # many at once, reserved, not given out
    "224.0.0.1": "multicast",
    "239.255.255.255": "multicast",
    "ff02::1": "multicast",
    "ff0e::1": "multicast",
    "240.0.0.1": "reserved",
    "255.255.255.254": "reserved",
    "255.255.255.255": "broadcast",
    "200::1": "outside 2000::/3",
    "4000::1": "outside 2000::/3",
    "1::1": "outside 2000::/3",
    "64:ff9b:2::1": "outside 2000::/3",
}

ALLOWED = [
    "1.1.1.1",
    "8.8.8.8",
    "9.255.255.255",
    "11.0.0.1",
    "100.63.255.255",
    "100.128.0.1",
    "126.255.255.255",
    "128.0.0.1",
    "168.63.129.15",
    "168.63.129.17",
    "169.253.255.255",
    "169.255.0.1",
    "172.15.255.255",
    "172.32.0.1",
    "192.0.1.1",
    "192.0.3.1",
    "192.167.255.255",
    "192.169.0.1",
    "198.17.255.255",
    "198.20.0.1",
    "223.255.255.255",
    "2001:200::1",
    "2001:4860:4860::8888",
    "2003::1",
    "2606:4700:4700::1111",
    "2a00:1450:4001:81b::200e",
    "2001:db7:ffff::1",
    "2001:db9::1",
    "2606:4700::5eff:7f00:1",
    "3fff:1000::1",
]

SCOPED = ["fe80::1%eth0", "fe80::1%2", "2606:4700::1%eth0", "::1%lo"]


@pytest.mark.parametrize(("address", "why"), REFUSED.items())
def test_an_address_that_is_not_of_the_public_internet_is_refused_in_words(
    address: str, why: str
) -> None:
    assert why in str(check_address(address))


@pytest.mark.parametrize("address", REFUSED)
def test_a_refused_address_can_be_opened_by_its_own_network(address: str) -> None:
    assert check_address(address, Allowlist.parse([address])) is None


@pytest.mark.parametrize("address", ALLOWED)
def test_an_address_of_the_public_internet_may_be_called(address: str) -> None:
    assert check_address(address) is None


@pytest.mark.parametrize("address", SCOPED)
def test_an_address_with_a_scope_id_is_never_called(address: str) -> None:
    assert "scope id" in str(check_address(address, Allowlist.parse(["::/0"])))


@pytest.mark.parametrize(
    "text", ["", "localhost", "127.1", "0177.0.0.1", "2130706433", "1.2.3.4.5", "[::1]"]
)
def test_what_is_no_address_as_usually_written_is_refused(text: str) -> None:
    assert check_address(text) == "not an address"


def test_an_open_network_opens_no_other_form_of_its_addresses() -> None:
    allow = Allowlist.parse(["127.0.0.0/8"])
    assert check_address("127.0.0.1", allow) is None
    for other in ("::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "::127.0.0.1", "::1"):
        assert check_address(other, allow) is not None


@pytest.mark.parametrize(
    "cidr", ["", "localhost", "127.0.0.1/8", "10.0.0.0/33", "127.1/8", "::1/129"]
)
def test_an_allowlist_of_something_else_is_refused_naming_the_setting(cidr: str) -> None:
    with pytest.raises(InvalidOption, match="allow_cidrs"):
        Allowlist.parse(["10.0.0.0/8", cidr])


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8000/hook",
        "http://[::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://169.254.169.254/latest/meta-data/",
        "http://2130706433/",
        "http://0x7f.1/",
        "http://0177.0.0.1/",
        "http://127.1/",
        "http://localhost/",
        "http://LOCALHOST:6379/",
        "http://a.localhost/",
    ],
)
def test_a_literal_that_leads_inside_is_refused_at_registration(url: str) -> None:
    with pytest.raises(WebhookRefused):
        check_url(url)


def test_at_registration_no_name_is_asked_for_and_public_literals_pass() -> None:
    for url in (
        "https://example.com/",
        "https://no.such.host.invalid/",
        "https://8.8.8.8/",
        "https://[2606:4700::1]/",
    ):
        check_url(url)


def test_an_open_network_lets_its_literals_and_localhost_pass_at_registration() -> None:
    allow = Allowlist.parse(["127.0.0.0/8"])
    check_url("http://127.0.0.1:8000/", allow)
    check_url("http://localhost:8000/", allow)
    with pytest.raises(WebhookRefused):
        check_url("http://127.1:8000/", allow)


def test_a_refusal_shows_no_token_of_the_url() -> None:
    with pytest.raises(WebhookRefused, match=r"10\.0\.0\.1.*private") as caught:
        check_url("http://10.0.0.1/hook?token=s3cret")
    assert "s3cret" not in str(caught.value)


Answering = Callable[..., Lookup]


@pytest.fixture
def asked() -> list[str]:
    return []


@pytest.fixture
def answering(asked: list[str]) -> Answering:
    """Stand in for the name server, whose answers an attacker chooses."""

    def answers(*addresses: str) -> Lookup:
        async def lookup(host: str, _port: int) -> Sequence[str]:
            asked.append(host)
            return addresses

        return lookup

    return answers


async def test_a_name_is_asked_for_once_and_all_its_addresses_are_given(
    asked: list[str], answering: Answering
) -> None:
    found = await resolve(
        "example.com", 443, CLOSED, answering("2606:4700::1", "8.8.8.8", "8.8.8.8")
    )
    assert found == ["2606:4700::1", "8.8.8.8"]
    assert asked == ["example.com"]


@pytest.mark.parametrize("inside", ["10.0.0.1", "::ffff:8.8.8.8", "fe80::1%2", "127.0.0.1"])
async def test_one_refused_address_refuses_the_name(answering: Answering, inside: str) -> None:
    with pytest.raises(WebhookRefused, match=r"example\.com"):
        await resolve("example.com", 443, CLOSED, answering("8.8.8.8", inside))


async def test_an_open_network_lets_a_name_lead_there(answering: Answering) -> None:
    allow = Allowlist.parse(["10.0.0.0/8"])
    assert await resolve("a.internal", 80, allow, answering("10.0.0.1")) == ["10.0.0.1"]


async def test_a_literal_is_not_asked_for_but_checked(
    asked: list[str], answering: Answering
) -> None:
    assert await resolve("8.8.8.8", 80, CLOSED, answering("10.0.0.1")) == ["8.8.8.8"]
    with pytest.raises(WebhookRefused):
        await resolve("::1", 80, CLOSED, answering("8.8.8.8"))
    assert asked == []


async def test_a_name_without_an_address_is_an_os_error(answering: Answering) -> None:
    with pytest.raises(OSError, match="no address"):
        await resolve("example.com", 80, CLOSED, answering())


async def test_odd_numbers_are_refused_even_where_the_url_was_never_read(
    answering: Answering,
) -> None:
    for odd in ("127.1", "2130706433"):
        with pytest.raises(WebhookRefused, match="not an address"):
            await resolve(odd, 80, Allowlist.parse(["127.0.0.0/8"]), answering("8.8.8.8"))
