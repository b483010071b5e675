"""Where a request comes from. A header that tells of it is believed only where a configured proxy sent it."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

from starlette.requests import Request

from permission_mongo.addresses import Network
from permission_mongo.gateway import Gateway

Address = IPv4Address | IPv6Address
_FORWARDED_FOR: Final = b"x-forwarded-for"


def client_address(request: Request) -> str | None:
    """The caller's address in its usual form: for rules, limits and the log. None where the peer has none.

    It is the peer of the connection. Of a proxy of `server.trusted_proxies` it is the right-most address of
    `X-Forwarded-For` that is none of these: what stands left of it is the caller's own claim. No other header counts.
    """
    client = request.scope.get("client")
    if client is None:
        return None
    gateway: Gateway = request.app.state.gateway
    trusted = gateway.config.server.trusted_proxies
    if not trusted:
        # A socket that takes both kinds tells IPv4 as ::ffff:10.0.0.1; rules compare with the usual form.
        return forwarded_address(client[0], (), ()) if ":" in client[0] else str(client[0])
    told = [value for name, value in request.scope["headers"] if name == _FORWARDED_FOR]
    return forwarded_address(client[0], told, trusted)


def forwarded_address(peer: str, told: Sequence[bytes], trusted: Sequence[Network]) -> str:
    """The last address that a trusted proxy vouches for; `told` are the headers, in the order they came."""
    found = read_address(peer)
    if found is None:
        return peer
    hops = [hop for value in told for hop in value.decode("latin-1").split(",")]
    while hops and _is_trusted(found, trusted):
        before = read_address(hops.pop())
        if before is None:
            break  # a word such as `unknown`: who sent it is all that is known
        found = before
    return str(found)


def read_address(text: str) -> Address | None:
    """An address, perhaps with a port behind it; of an IPv4 address inside an IPv6 one the IPv4 address."""
    host = text.strip()
    if host.startswith("["):
        host, closed, _ = host[1:].partition("]")
        host = host if closed else ""
    elif host.count(":") == 1:
        host = host.partition(":")[0]
    try:
        found = ip_address(host.partition("%")[0])
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found


def _is_trusted(address: Address, trusted: Sequence[Network]) -> bool:
    return any(address.version == network.version and address in network for network in trusted)
