"""Where a webhook may go: the public internet, and the networks that the operator opened."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from stepflow.errors import InvalidOption, WebhookRefused
from stepflow.hooks.networks import GLOBAL_V6, REFUSED_V4, REFUSED_V6, is_isatap
from stepflow.hooks.target import Target, read_target, shown

#: how many addresses of one name are tried, in the resolver's order
MOST_ADDRESSES = 4
#: asks for the addresses of a host and port; raises OSError when there are none
Lookup = Callable[[str, int], Awaitable[Sequence[str]]]


@dataclass(frozen=True, slots=True)
class Allowlist:
    """
    The networks that the operator has opened to webhooks (`STEPFLOW_WEBHOOK_ALLOW_CIDRS`).

    It opens what it names, in no other form: `127.0.0.0/8` does not open `::ffff:127.0.0.1`.
    """

    networks: tuple[IPv4Network | IPv6Network, ...] = ()

    @classmethod
    def parse(cls, cidrs: Iterable[str]) -> Allowlist:
        """Read networks like `127.0.0.0/8` or `::1/128`; raises InvalidOption for anything else."""
        try:
            return cls(tuple(ip_network(cidr.strip()) for cidr in cidrs))
        except ValueError as error:
            msg = f"webhook.allow_cidrs: {error}; write networks like 127.0.0.0/8"
            raise InvalidOption(msg) from None

    def __contains__(self, address: IPv4Address | IPv6Address) -> bool:
        return any(address in network for network in self.networks)


#: nothing but the public internet
CLOSED = Allowlist()


def check_address(ip: str, allow: Allowlist = CLOSED) -> str | None:
    """
    Return why the address *ip* is refused, like "in 10.0.0.0/8, a private network".

    None when it may be called.
    """
    if "%" in ip:
        return "of one link only (it has a scope id)"
    try:
        address = ip_address(ip)
    except ValueError:
        return "not an address"
    if address in allow:
        return None
    if isinstance(address, IPv4Address):
        return next((why for network, why in REFUSED_V4 if address in network), None)
    if is_isatap(address):
        return "an IPv4 address in IPv6 form (ISATAP)"
    outside = (
        None if address in GLOBAL_V6 else "outside 2000::/3, not given out for the public internet"
    )
    return next((why for network, why in REFUSED_V6 if address in network), outside)


def check_url(url: str, allow: Allowlist = CLOSED) -> None:
    """
    Raise WebhookRefused when *url* may certainly not be called.

    For the moment of registration: it asks no name server. `resolve` finds a name that leads to a
    refused address, at each try.
    """
    target = read_target(url)
    for address in _known_addresses(target):
        if why := check_address(address, allow):
            raise WebhookRefused(shown(url), _closed(f"{address} is {why}"))


def _known_addresses(target: Target) -> tuple[str, ...]:
    if target.is_literal:
        return (target.host,)
    # RFC 6761: such names are loopback, whatever a name server says
    return ("127.0.0.1",) if target.host.rpartition(".")[2] == "localhost" else ()


async def resolve(host: str, port: int, allow: Allowlist, lookup: Lookup) -> list[str]:
    """
    Look *host* up once and return its addresses in the order to try.

    Raises WebhookRefused when any of them is refused, for a second look-up could pick that one, and
    OSError when there is none. Connect to these addresses and look up no more.
    """
    is_address = ":" in host or host.rpartition(".")[2].isdecimal()
    found = list(dict.fromkeys([host] if is_address else await lookup(host, port)))
    if not found:
        msg = f"{host} has no address"
        raise OSError(msg)
    for address in found:
        if why := check_address(address, allow):
            raise WebhookRefused(host, _closed(f"its address {address} is {why}"))
    return found


def _closed(problem: str) -> str:
    return f"{problem}; STEPFLOW_WEBHOOK_ALLOW_CIDRS can open it"
