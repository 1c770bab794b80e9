"""
The networks that no webhook may reach, written out so that no new `ipaddress` changes them.

Sources: the IANA special-purpose registries for IPv4 and IPv6 (RFC 6890 and its successors), the
RFCs named beside the rows, and the addresses at which clouds answer with their machines'
credentials. The first row that holds an address gives the reason.
"""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Address, IPv6Network

_V4 = (
    ("169.254.169.254/32", "a cloud's metadata service"),
    ("100.100.100.200/32", "a cloud's metadata service"),
    ("192.0.0.192/32", "a cloud's metadata service"),
    ("168.63.129.16/32", "a cloud's host service"),
    ("0.0.0.0/8", "this network (RFC 791)"),
    ("10.0.0.0/8", "a private network (RFC 1918)"),
    ("100.64.0.0/10", "shared by carriers (RFC 6598)"),
    ("127.0.0.0/8", "loopback"),
    ("169.254.0.0/16", "link-local (RFC 3927)"),
    ("172.16.0.0/12", "a private network (RFC 1918)"),
    ("192.0.0.0/24", "kept for protocols (RFC 6890)"),
    ("192.0.2.0/24", "for documentation (RFC 5737)"),
    ("192.31.196.0/24", "AS112 (RFC 7535)"),
    ("192.52.193.0/24", "AMT relays (RFC 7450)"),
    ("192.88.99.0/24", "6to4 relays (RFC 7526)"),
    ("192.168.0.0/16", "a private network (RFC 1918)"),
    ("192.175.48.0/24", "AS112 (RFC 7534)"),
    ("198.18.0.0/15", "for benchmarks (RFC 2544)"),
    ("198.51.100.0/24", "for documentation (RFC 5737)"),
    ("203.0.113.0/24", "for documentation (RFC 5737)"),
    ("224.0.0.0/4", "multicast"),
    ("255.255.255.255/32", "broadcast"),
    ("240.0.0.0/4", "reserved (RFC 1112)"),
)

_V6 = (
    ("fd00:ec2::/32", "a cloud's metadata service"),
    ("fd20:ce::254/128", "a cloud's metadata service"),
    ("::/128", "unspecified"),
    ("::1/128", "loopback"),
    ("::ffff:0:0/96", "an IPv4 address in IPv6 form (mapped)"),
    ("::ffff:0:0:0/96", "an IPv4 address in IPv6 form (translated, RFC 2765)"),
    ("::/96", "an IPv4 address in IPv6 form (compatible)"),
    ("64:ff9b::/96", "an IPv4 address in IPv6 form (NAT64, RFC 6052)"),
    ("64:ff9b:1::/48", "an IPv4 address in IPv6 form (NAT64, RFC 8215)"),
    ("100::/64", "discard-only (RFC 6666)"),
    ("100:0:0:1::/64", "a dummy prefix (RFC 9780)"),
    ("2001::/32", "an IPv4 address in IPv6 form (Teredo)"),
    ("2001::/23", "kept for protocols (RFC 2928)"),
    ("2001:db8::/32", "for documentation (RFC 3849)"),
    ("2002::/16", "an IPv4 address in IPv6 form (6to4)"),
    ("2620:4f:8000::/48", "AS112 (RFC 7534)"),
    ("3ffe::/16", "the former 6bone (RFC 3701)"),
    ("3fff::/20", "for documentation (RFC 9637)"),
    ("5f00::/16", "segment routing (RFC 9602)"),
    ("fc00::/7", "a private network (RFC 4193)"),
    ("fe80::/10", "link-local"),
    ("fec0::/10", "site-local (RFC 3879)"),
    ("ff00::/8", "multicast"),
)

REFUSED_V4 = tuple((IPv4Network(cidr), f"in {cidr}, {what}") for cidr, what in _V4)
REFUSED_V6 = tuple((IPv6Network(cidr), f"in {cidr}, {what}") for cidr, what in _V6)

#: the only part of IPv6 given out for the public internet (RFC 4291)
GLOBAL_V6 = IPv6Network("2000::/3")

#: the upper half of an ISATAP interface id (RFC 5214), whose lower half is an IPv4 address
_ISATAP = (0x0000_5EFE, 0x0200_5EFE)


def is_isatap(address: IPv6Address) -> bool:
    """Whether the lower half of *address* marks it as carrying an IPv4 address."""
    return (int(address) >> 32) & 0xFFFF_FFFF in _ISATAP
