"""One HTTP request, read as far as every route needs: who, when, which collection, what body."""

from __future__ import annotations

import itertools
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Final
from uuid import uuid4

from starlette.requests import ClientDisconnect, Request

from permission_mongo.api.addresses import client_address
from permission_mongo.api.errors import UnsupportedMediaType
from permission_mongo.api.manners import OWN, Manner
from permission_mongo.api.streams import Streams
from permission_mongo.documents.etags import Tags
from permission_mongo.errors import CallerLeft, CollectionNotFound, InvalidRequest, PayloadTooLarge
from permission_mongo.gateway import Gateway
from permission_mongo.operations import Operation, Write, is_rehearsal
from permission_mongo.parsing.conditions import Conditions, read_tags
from permission_mongo.parsing.lists import Parameters, parameters_of
from permission_mongo.parsing.once import HEADER, read_once
from permission_mongo.planning.callers import Asking
from permission_mongo.principal import DEFAULT_NAMESPACE
from permission_mongo.rates import Payer, cost_of, paying_address, paying_principal
from permission_mongo.schema.model import Collection
from permission_mongo.shares import Share

_LENGTH: Final = re.compile(rb"[0-9]+")
_LONGEST_LENGTH: Final = 18
_REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._-]{1,128}")
# Headers that are part of what a write says: under one idempotency key they must not change.
_OF_THE_WRITE: Final = (b"if-match", b"x-change-reason")
_OF_THE_BODY: Final = frozenset({b"content-type", b"content-encoding", b"content-length"})
_IDENTITY: Final = b"identity"
_JSON: Final = b"application/json"
MERGE_PATCH: Final = b"application/merge-patch+json"  # RFC 7396
IF_MATCH: Final = b"if-match"
IF_NONE_MATCH: Final = b"if-none-match"


def _only(namespaces: list[bytes]) -> str:
    if len(namespaces) > 1:
        raise InvalidRequest("X-Namespace: given twice")
    return namespaces[0].decode("latin-1") if namespaces else DEFAULT_NAMESPACE


def _borne_key(authorization: str) -> str | None:
    """What a header bears that is no token: those have dots between their parts."""
    scheme, _, credential = authorization.partition(" ")
    credential = credential.strip()
    return credential if scheme.lower() == "bearer" and credential and "." not in credential else None


@dataclass(slots=True)
class Call:
    """A request at a gateway. `keys` are its idempotency keys, `sent` the headers that tell of its body, `received` the
    body, `asked` who asks, and `payers` whose rates it counts for, once they are read. `refused` is the code of what it
    was refused with, `trace` the id of its trace, `share` what its answer holds if it is large. `manner` is how its
    route is spoken to.
    """

    request: Request
    gateway: Gateway
    request_id: str
    keys: list[bytes] = field(default_factory=list)
    sent: dict[bytes, bytes] = field(default_factory=dict)
    received: bytes = b""
    asked: Asking | None = None
    payers: tuple[Payer, ...] = ()
    refused: str | None = None
    trace: str | None = None
    share: Share | None = None
    manner: Manner = OWN

    @property
    def collection(self) -> Collection:
        """The declared collection of the path; any other name is told alike."""
        name = self.request.path_params["collection"]
        found = self.gateway.config.collections.get(name)
        if found is None:
            raise CollectionNotFound("no such collection", collection=name[:128])
        return found

    @property
    def parameters(self) -> Parameters:
        return parameters_of(self.query_string)

    @property
    def query_string(self) -> bytes:
        sent: bytes = self.request.scope["query_string"]
        return sent

    @property
    def streams(self) -> Streams:
        found: Streams = self.request.app.state.streams
        return found

    @property
    def names_caller(self) -> bool:
        """Whether something is said of who asks, or where: whatever it is, it must hold."""
        headers = self.request.headers
        return any(name in headers for name in ("authorization", "x-api-key", "x-namespace"))

    def path(self, name: str) -> str:
        return str(self.request.path_params[name])

    async def asking(self, takes: bytes | None = None, where: Callable[[], Awaitable[str]] | None = None) -> Asking:
        """Who asks, and from here on where. Unauthenticated, or Forbidden for a namespace that is not the caller's.

        `where` tells the namespace of a route whose body names it, and that takes no header for it.
        RateLimited for who asked too much before; InvalidRequest for a condition that the route does not take.
        """
        # First of all: whoever guesses credentials pays for each.
        address, rate = self.pay_by_address(), self.gateway.config.limits.rate
        conditions, manner = set[bytes](), self.manner
        authorization: list[str] = []
        api_key: list[str] = []
        namespaces: list[bytes] = []
        for name, value in self.request.scope["headers"]:
            if name == b"authorization":
                key = _borne_key(value.decode("latin-1")) if manner.bears_keys else None
                (authorization if key is None else api_key).append(key or value.decode("latin-1"))
            elif name in manner.keys:
                api_key.append(value.decode("latin-1"))
            elif name == b"x-namespace":
                namespaces.append(value)
            elif name == b"idempotency-key":
                self.keys.append(value)
            elif name in (IF_MATCH, IF_NONE_MATCH):
                conditions.add(name)
            elif name in _OF_THE_BODY:
                self.sent.setdefault(name, value)
            elif name in manner.tokens:
                authorization.append(f"Bearer {value.decode('latin-1')}")
        principal = await self.gateway.authenticator.authenticate(authorization, api_key)
        if rate is not None:
            self._pay(paying_principal(rate, principal))
        about = {"method": self.request.scope["method"], "ip": address}
        asking = self.asked = Asking(principal, self.gateway.clock(), about, self.request_id)
        if where is not None and namespaces:
            raise InvalidRequest("X-Namespace: the request names its namespace elsewhere")
        self.gateway = self.gateway.within(await where() if where else _only(namespaces), principal)
        for name in sorted(conditions - {takes}):
            raise InvalidRequest(f"the header '{name.decode()}' is not taken here")
        return asking

    def pay_by_address(self) -> str | None:
        """The address, which paid for one request. RateLimited for one that asked too much before."""
        address, rate = client_address(self.request), self.gateway.config.limits.rate
        if rate is not None:
            self._pay(paying_address(rate, address))
        return address

    def _pay(self, payers: tuple[Payer, ...]) -> None:
        self.gateway.rates.charge(payers, 1)
        self.payers += payers

    def pay_for(self, operation: Operation) -> None:
        """What it costs beyond the request itself. RateLimited, or InvalidRequest for what is too much at any time."""
        cost = cost_of(operation)
        if cost > 1:
            self.gateway.rates.charge(self.payers, cost - 1, before=1)

    def keyed(self, asking: Asking, operation: Operation) -> Asking:
        """With the caller's idempotency key. InvalidRequest where nothing is written; a dry run needs none."""
        if not isinstance(operation, Write):
            raise InvalidRequest(f"{HEADER}: this request writes nothing")
        once = read_once(self.keys, asking.principal, self._as_asked(), self.gateway.fresh)
        return asking if is_rehearsal(operation) else replace(asking, once=once)

    def _as_asked(self) -> tuple[bytes, ...]:
        """What makes a repeated request the same."""
        scope = self.request.scope
        said = b"\n".join(name + b":" + value for name, value in scope["headers"] if name in _OF_THE_WRITE)
        path = scope["path"].encode("utf-8", "surrogatepass")
        return (scope["method"].encode(), path, scope["query_string"], said, self.received)

    def tags(self, name: bytes) -> Tags | None:
        """The tags of a conditional header."""
        return read_tags(self.request.headers.getlist(name.decode()), name.decode())

    @property
    def conditions(self) -> Conditions:
        """Of a single write."""
        return Conditions(self.tags(IF_MATCH), self.reason)

    @property
    def reason(self) -> str | None:
        """`X-Change-Reason`, as it was sent first."""
        headers = self.request.scope["headers"]
        return next((value.decode("latin-1") for name, value in headers if name == b"x-change-reason"), None)

    @property
    def waits(self) -> bool:
        """Whether the caller stays for the end of long work. RFC 7240: `Prefer: respond-async` says it does not."""
        preferences = [one for value in self.request.headers.getlist("prefer") for one in value.split(",")]
        return not any(one.partition(";")[0].strip().lower() == "respond-async" for one in preferences)

    @property
    def wants_events(self) -> bool:
        accepted = [one for value in self.request.headers.getlist("accept") for one in value.split(",")]
        return any(one.partition(";")[0].strip().lower() == "text/event-stream" for one in accepted)

    async def no_body(self) -> None:
        """InvalidRequest for a body that says something."""
        if (await self.body()).strip() not in (b"", b"{}"):
            raise InvalidRequest("this route takes no body")

    async def body(self, also: bytes = _JSON) -> bytes:
        """The body, at most `limits.max_body_bytes`. `also`: a kind of JSON taken too."""
        self._require_plain_json(also)
        try:
            self.received = await self._read()
        except ClientDisconnect as error:
            raise CallerLeft("the caller left") from error
        return self.received

    async def parts(self, most: int) -> AsyncIterator[bytes]:
        """The body as it comes. PayloadTooLarge, before its first byte, for one that says it has more than `most`."""
        declared = self.sent.get(b"content-length", b"0")
        if _LENGTH.fullmatch(declared) and (len(declared) > _LONGEST_LENGTH or int(declared) > most):
            raise PayloadTooLarge(f"the blob is larger than {most} bytes", max_bytes=most)
        more = True
        while more:
            try:
                part, more = await self._more()
            except ClientDisconnect as error:
                raise CallerLeft("the caller left") from error
            if part:
                yield part

    async def _read(self) -> bytes:
        most = self.gateway.config.limits.max_body_bytes
        declared = self.sent.get(b"content-length", b"0")
        # Python takes other signs than 0 to 9 for digits that it can't read, and reads no number of thousands of them.
        if _LENGTH.fullmatch(declared) and (len(declared) > _LONGEST_LENGTH or int(declared) > most):
            raise self._too_large(most)
        first, more = await self._more()
        received = bytearray(first) if more else first
        while more and len(received) <= most:
            part, more = await self._more()
            received += part
        if len(received) > most:
            raise self._too_large(most)
        return bytes(received)

    async def _more(self) -> tuple[bytes, bool]:
        """A part of the body, and whether more comes."""
        message = await self.request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        return message.get("body", b""), message.get("more_body", False)

    def _too_large(self, most: int) -> PayloadTooLarge:
        return PayloadTooLarge(f"the body is larger than {most} bytes", max_body_bytes=most)

    def _require_plain_json(self, also: bytes) -> None:
        kind = self.sent.get(b"content-type", _JSON)
        if kind != _JSON and kind.partition(b";")[0].strip().lower() not in (_JSON, also):
            raise UnsupportedMediaType("expected 'Content-Type: application/json'")
        if self.sent.get(b"content-encoding", _IDENTITY).lower() != _IDENTITY:
            raise UnsupportedMediaType("a compressed body is not taken")


_PROCESS: Final = uuid4().hex[:16]
_COUNT: Final = itertools.count(1)


def request_id_of(request: Request) -> str:
    """The caller's own id where it is a plain one, else a fresh one: this process's mark and a number."""
    for name, value in request.scope["headers"]:
        if name == b"x-request-id" and _REQUEST_ID.fullmatch(value):
            return str(value, "ascii")
    return fresh_request_id()


def fresh_request_id() -> str:
    return f"{_PROCESS}-{next(_COUNT):x}"
