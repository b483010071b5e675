"""What the head of a request must be before anything looks at it. Pure; what the parser refuses by itself is not here.

A head that two servers can read differently lets one caller's bytes become another one's request.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from permission_mongo.api.errors import HeadersTooLarge, MethodNotAllowed
from permission_mongo.errors import InvalidRequest, Refusal, Unauthenticated

Headers = Sequence[tuple[bytes, bytes]]
Fault = tuple[str, Refusal]  # the reason by which it is counted, and what is answered
MOST_HEADERS: Final = 100
_AROUND: Final = 4  # bytes of `: ` and CRLF
_VERSIONS: Final = frozenset({"1.0", "1.1"})
# A name, an IPv4 address, or an IPv6 address in brackets; then a port. RFC 3986 allows names more signs, a comma among
# them, which is also what two hosts become where something puts equal headers into one.
_HOST: Final = re.compile(rb"(?:\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,255})(?::[0-9]{0,5})?")


def fault_of_head(method: bytes, target: bytes, version: str, headers: Headers, most_bytes: int) -> Fault | None:
    """Why this head is turned away; None where it may pass. The names of `headers` are in lower case."""
    if len(headers) > MOST_HEADERS:
        return "head_size", HeadersTooLarge(f"at most {MOST_HEADERS} headers", max_headers=MOST_HEADERS)
    if len(target) + sum(len(name) + len(value) + _AROUND for name, value in headers) > most_bytes:
        return too_large(most_bytes)
    return _fault_of_line(method, target, version) or _fault_of_headers(version, headers)


def too_large(most_bytes: int) -> Fault:
    told = f"request line and headers are larger than {most_bytes} bytes"
    return "head_size", HeadersTooLarge(told, max_header_bytes=most_bytes)


def _fault_of_line(method: bytes, target: bytes, version: str) -> Fault | None:
    if version not in _VERSIONS:
        return "malformed", InvalidRequest("expected HTTP/1.1 or HTTP/1.0")
    if method == b"CONNECT":
        return "method", MethodNotAllowed("CONNECT is not taken here")
    # `http://other/path` names a host beside the one of the header; a fragment is nothing to send.
    if not target.startswith(b"/") or b"#" in target:
        return "malformed", InvalidRequest("the request target is no path that begins with '/'")
    return None


def _fault_of_headers(version: str, headers: Headers) -> Fault | None:
    hosts, credentials, lengths, codings = [], 0, 0, []
    for name, value in headers:
        if name == b"host":
            hosts.append(value)
        elif name == b"authorization":
            credentials += 1
        elif name == b"content-length":
            lengths += 1
        elif name == b"transfer-encoding":
            codings.append(value)
    if codings and (lengths or len(codings) > 1 or version == "1.0" or codings[0].strip().lower() != b"chunked"):
        return "framing", InvalidRequest("the length of the body is told by one Content-Length, or as chunked")
    if lengths > 1:
        return "framing", InvalidRequest("Content-Length: given twice")
    if len(hosts) > 1 or (version == "1.1" and not hosts) or not all(map(_HOST.fullmatch, hosts)):
        return "host", InvalidRequest("expected one Host header that names a host")
    if credentials > 1:
        return "authorization", Unauthenticated("Authorization: given twice")
    return None
