"""Addresses that may be called: which URLs, and which IP addresses a name may lead to. Pure.

A gateway stands where its callers don't: what it calls for them must not be its own machine or network.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from ipaddress import IPv4Network as V4
from typing import Final
from urllib.parse import urlsplit

Network = V4 | IPv6Network
_HOST: Final = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*\.?")
_NUMBER: Final = re.compile(r"(?:0[xX][0-9a-fA-F]*|[0-9]+)")
# Of use to a network itself, whatever the library's tables of the day say: RFC 6890, and relays of 6to4.
_SET_ASIDE: Final = tuple(V4(text) for text in ("0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.88.99.0/24"))
# Addresses that carry another one inside, or whose meaning is a network's own: never to be told from outside.
_VEILED: Final = tuple(
    map(
        IPv6Network,
        (
            "::/96",
            "::ffff:0:0/96",
            "64:ff9b::/96",
            "64:ff9b:1::/48",
            "2001::/32",
            "2002::/16",
            "3fff::/20",
            "fec0::/10",
        ),
    )
)


def fault_of_url(url: str) -> str | None:
    """Why this URL is never called, whatever it leads to; None where it may be."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return "is no URL"
    if parts.scheme not in ("http", "https"):
        return "begins with https:// or http://"
    if not host or port == 0 or any(ord(sign) <= 32 or ord(sign) == 127 or sign == "\\" for sign in url):
        return "is no URL"
    if not url.isascii():
        return "has other signs than ASCII; write those of a path as %C3%BC, and a name as xn--..."
    if parts.username is not None or parts.password is not None:
        return "has no user or password in it; put them into 'headers'"
    if parts.fragment:
        return "has no '#'"
    return fault_of_host(host)


def fault_of_host(host: str) -> str | None:
    """A name, or an address in its usual form: other forms of one exist to get past a look at it."""
    try:
        ip_address(host)
        return None
    except ValueError:
        pass
    if ":" in host or "%" in host or not host.isascii() or not _HOST.fullmatch(host):
        return "names no host"
    # `2130706433`, `0x7f.1` and `127.1` are read as addresses by the system's resolver.
    if _NUMBER.fullmatch(host.rstrip(".").rpartition(".")[2]):
        return "writes an address in an unusual form"
    return None


def may_be_called(address: str, allowed: Iterable[Network]) -> bool:
    """Whether the address is one of the open internet, or is listed."""
    try:
        ip = ip_address(address)
    except ValueError:
        return False
    listed = any(ip.version == network.version and ip in network for network in allowed)
    return listed or (_is_open(ip) and not _is_veiled(ip))


def _is_open(ip: IPv4Address | IPv6Address) -> bool:
    return ip.is_global and not (ip.is_multicast or ip.is_reserved or ip.is_loopback or ip.is_unspecified)


def _is_veiled(ip: IPv4Address | IPv6Address) -> bool:
    if isinstance(ip, IPv4Address):
        return any(ip in network for network in _SET_ASIDE)
    return ip.scope_id is not None or any(ip in network for network in _VEILED)
