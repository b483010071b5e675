"""Connections to permitted addresses alone: a name is looked up once, and what was checked is what is connected to."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterable

import httpcore

from permission_mongo.addresses import Network, fault_of_host, may_be_called


class Barred(Exception):
    """The name leads to an address that may not be called."""


class GuardedBackend(httpcore.AsyncNetworkBackend):
    """Looks names up itself. TLS is begun above it, and asks for the certificate of the name, not of the address."""

    def __init__(self, allowed: tuple[Network, ...]) -> None:
        self._allowed = allowed
        self._plain = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  (httpcore's signature)
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Barred if one of the addresses of the name is: an owner who mixes them waits for a second look-up."""
        addresses = await self._addresses_of(host, port)
        if not addresses or not all(may_be_called(one, self._allowed) for one in addresses):
            raise Barred
        failure: Exception = httpcore.ConnectError("no address")
        for address in addresses:
            try:
                return await self._plain.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure

    async def _addresses_of(self, host: str, port: int) -> list[str]:
        if fault_of_host(host) is not None:
            raise Barred
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise httpcore.ConnectError("the name is not known") from error
        return list(dict.fromkeys(str(place[0]) for *_, place in found))

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,  # noqa: ASYNC109
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        raise Barred

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
