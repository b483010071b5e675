"""Right requests broken in one place or a few: bodies, headers, paths, parameters and methods that nobody should send."""

import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from random import Random
from urllib.parse import quote, urlencode

from tests.laws.two_worlds.worlds import Asked


@dataclass
class Sent:
    """A request as it is written to the wire. `target` is percent-encoded; `parts` cuts the body into chunks."""

    method: str
    target: str
    headers: list[tuple[bytes, bytes]]
    body: bytes | None = None
    parts: bool = False

    def __str__(self) -> str:
        body = b"" if self.body is None else self.body
        headers = [one for one in self.headers if len(one[1]) < 100 or one[0] != b"authorization"]
        return f"{self.method} {self.target[:600]} {headers} {len(body)} bytes {body[:600]!r}"

    def content(self) -> bytes | AsyncIterator[bytes] | None:
        return _chunks(self.body or b"") if self.parts else self.body


async def _chunks(body: bytes) -> AsyncIterator[bytes]:
    for n in range(0, max(len(body), 1), 7_000):
        yield body[n : n + 7_000]


def as_sent(asked: Asked, token: str) -> Sent:
    """As a right client writes it."""
    target = quote(asked.path, safe="/%{}\":,$~@'") + (f"?{urlencode(asked.params)}" if asked.params else "")
    headers = [(b"authorization", f"Bearer {token}".encode())]
    headers += [(name.encode(), value.encode()) for name, value in asked.headers]
    if asked.body is None:
        return Sent(asked.route[0], target, headers)
    body = asked.body if isinstance(asked.body, bytes) else json.dumps(asked.body).encode()
    return Sent(asked.route[0], target, [*headers, (b"content-type", b"application/json")], body)


def broken(rnd: Random, sent: Sent) -> Sent:
    """The same request, wrong in one to three places."""
    ways = WAYS if sent.body is None else [*WAYS, _body, _body, _tree, _tree, _tree, _tree]
    for _ in range(rnd.choice((1, 1, 1, 2, 3))):
        rnd.choice(ways)(rnd, sent)
    return sent


# -- bodies

_DEEP = (
    '{"a":' * 70 + "1" + "}" * 70,
    "[" * 70 + "]" * 70,
    '{"$and":[' * 40 + "{}" + "]}" * 40,
    '{"$not":' * 30 + "1" + "}" * 30,
)
_NUMBERS = (
    "1e400",
    "-1e999",
    "9223372036854775808",
    "-9223372036854775809",
    "1" * 400,
    "1e-400",
    "-0",
    "0.1" + "1" * 50,
    "1E5",
)
_NO_NUMBERS = ("NaN", "Infinity", "-Infinity", "01", "+1", ".5", "0x10")
_TEXTS = (
    '"\\u0000"',
    '"a\\u0000b"',
    '"\\ud800"',
    '"\\udc00x"',
    '"\\ud83d\\ude00"',
    '"' + "x" * 5000 + '"',
    '"$where"',
    '""',
    '"%00"',
)
_EXTENDED = (
    '{"$oid":"x"}', '{"$oid":5}', '{"$date":"x"}', '{"$date":{"$numberLong":"9e9"}}', '{"$date":-99999999999999999}', '{"$uuid":"1"}',
    '{"$numberDecimal":"1e99999"}', '{"$numberDecimal":"NaN"}', '{"$numberLong":"9223372036854775808"}', '{"$binary":"x"}',
    '{"$binary":{"base64":"AA==","subType":"fff"}}', '{"$regex":"(","$options":"q"}', '{"$timestamp":{"t":1,"i":1}}', '{"$minKey":1}',
    '{"$oid":"65f000000000000000000000","x":1}', '{"$code":"1"}', '{"$ref":"staff","$id":1}', '{"$undefined":true}', '{"$date":"9999-12-31T23:59:59Z"}',
)  # fmt: skip
_PLAIN = (
    "null",
    "true",
    "false",
    "0",
    "[]",
    "{}",
    "[null]",
    "[[]]",
    '{"":1}',
    '{"a.b":1}',
    '{"$x":1}',
    '{"__proto__":1}',
    '"$salary"',
    '"$$ROOT"',
)
ODD = (*_DEEP, *_NUMBERS, *_NO_NUMBERS, *_TEXTS, *_EXTENDED, *_PLAIN)
KEYS = (
    "", "$", "$where", "$expr", "$jsonSchema", "$text", "$function", "$comment", "$regex", "$options", "$type", "$mod", "$near", "$geoWithin",
    "$nor", "$or", "$not", "$elemMatch", "$size", "$all", "$in", "$set", "$setOnInsert", "$bit", "$pushAll", "$each", "$slice", "$out", "$merge",
    "$unionWith", "$graphLookup", "$lookup", "$collStats", "$indexStats", "$currentOp", "$documents", "a\x00b", "a.", ".a", "a..b", "_id", "_id.x",
    "_made", "_made.by", "tenant_id", "salary", "pay.bonus", "skills.$[].score", "skills.$.score", "skills.0.score", "0", "-1", "__proto__",
    "constructor", "hint", "comment", "explain", "collation", "let", "maxTimeMS", "readConcern", "\ud800", "x" * 3000, "filter", "ids", "all", "é",
)  # fmt: skip


def _body(rnd: Random, sent: Sent) -> None:
    """Bytes that are no JSON, or JSON of another kind."""
    body = sent.body or b"{}"
    cut = rnd.randrange(len(body) + 1)
    sent.body = rnd.choice(
        (
            lambda: rnd.randbytes(rnd.randrange(200)),
            lambda: body[:cut],
            lambda: body[:cut] + rnd.randbytes(rnd.randrange(1, 4)) + body[cut:],
            lambda: (
                body[:cut] + rnd.choice((b'"', b"{", b"}", b",", b"\x00", b"\xff", b"\\", b"\xed\xa0\x80")) + body[cut:]
            ),
            lambda: b"\xef\xbb\xbf" + body,
            lambda: body + body,
            lambda: b"[" + body + b"]",
            lambda: body.replace(b'":', b'":1,"q":', 1).replace(b"{", b'{"q":0,', 1),
            lambda: rnd.choice(ODD).encode("utf-8", "surrogatepass"),
            lambda: body.decode("utf-8", "replace").encode("utf-16"),
            lambda: b"",
        )
    )()


def _tree(rnd: Random, sent: Sent) -> None:
    """Somewhere inside another value, another name or one more."""
    try:
        found = json.loads(sent.body or b"")
    except (ValueError, RecursionError):
        return _body(rnd, sent)
    places = [one for one in _containers(found) if one]
    if not places:
        return _body(rnd, sent)
    place, mark = rnd.choice(places), f"@{rnd.getrandbits(64)}@"
    if isinstance(place, list):
        place[rnd.randrange(len(place))] = mark
    else:
        name = rnd.choice(sorted(place))
        if rnd.random() < 0.4:
            place[rnd.choice(KEYS)] = place[name] if rnd.random() < 0.5 else place.pop(name)
        else:
            place[name] = mark
    odd = rnd.choice((*ODD, f"{json.dumps(place if rnd.random() < 0.2 else None)}"))
    sent.body = json.dumps(found).replace(f'"{mark}"', odd.replace(mark, "m")).encode("utf-8", "surrogatepass")
    return None


def _containers(found: object) -> list:
    inside = list(found.values()) if isinstance(found, dict) else found if isinstance(found, list) else ()
    here = [found] if isinstance(found, dict | list) else []
    return here + [one for value in inside for one in _containers(value)]


# -- around the body

_HEADERS = (
    (b"content-type", (b"", b"text/plain", b"application/xml", b"application/json; charset=latin-1", b"\xff", b"multipart/form-data; boundary=x")),
    (b"content-encoding", (b"gzip", b"br", b"", b"identity", b"x" * 300)),
    (b"content-length", (b"0", b"1", b"99999999999", b"-1", b"abc", b"\xb2", b"1, 1")),
    (b"transfer-encoding", (b"chunked", b"gzip", b"x")),
    (b"if-match", (b"", b"*", b'"', b'W/"a"', b'"a", "b"', b"\xff", b'"' + b"x" * 9000 + b'"', b"," * 500)),
    (b"if-none-match", (b"", b"*", b'"a"', b"\xff", b"W/")),
    (b"idempotency-key", (b"", b"k", b"\xff", b"a b", b"x" * 300, b'{"$ne":1}', b"k\x00")),
    (b"x-change-reason", (b"", b"\xff\xfe", b"x" * 2000, b"\xed\xa0\x80", b"why", b"\x00")),
    (b"x-namespace", (b"", b"default", b"other", b"\xff")),
    (b"x-request-id", (b"", b"\xff", b"x" * 200, b"a b", b"<script>")),
    (b"x-api-key", (b"", b"pmk_x", b"\xff", b"pmk_" + b"0" * 16 + b"_" + b"a" * 43)),
    (b"x-http-method-override", (b"DELETE", b"PUT")),
    (b"accept", (b"text/event-stream", b"application/xml", b"\xff")),
    (b"prefer", (b"respond-async", b"return=minimal")),
    (b"range", (b"bytes=0-1", b"x")),
    (b"host", (b"", b"evil", b"a:b:c")),
    (b"x-forwarded-for", (b"1.2.3.4", b"\xff")),
    (b"cookie", (b"session=1", b"\xff")),
    (b"expect", (b"100-continue", b"x")),
)  # fmt: skip
_CREDENTIALS = (
    b"",
    b"Bearer",
    b"Bearer ",
    b"Bearer a.b.c",
    b"Basic YTpi",
    b"Bearer \xff",
    b"Bearer " + b"x" * 9000,
    b"bearer x y",
)


def _header(rnd: Random, sent: Sent) -> None:
    name, values = rnd.choice(_HEADERS)
    if rnd.random() < 0.7:
        sent.headers = [one for one in sent.headers if one[0] != name]
    sent.headers.append((name, rnd.choice(values)))


def _credential(rnd: Random, sent: Sent) -> None:
    """None, a wrong one, or a second one."""
    others = [one for one in sent.headers if one[0] != b"authorization"]
    wrong = (b"authorization", rnd.choice(_CREDENTIALS))
    sent.headers = rnd.choice((others, [*others, wrong], [*sent.headers, wrong], [wrong, *sent.headers]))


def _chunked(rnd: Random, sent: Sent) -> None:
    sent.parts = True


_SEGMENTS = (
    "%00", "a%00b", "%ff", "%ED%A0%80", "..", "%2e%2e", "", "%20", "*", "%7B%22$ne%22:1%7D", "$cmd", "system.js", "_pm_versions", "_pm_audit",
    "STAFF", "staff%00", "batch", "deleted", "count", "versions", "undo", "purge", "aggregate", "health", "metrics", "x" * 3000, "5", "-1", "null",
    "65f000000000000000000000", "%F0%9F%92%A9", "a%2Fb", "%25", "123e4567-e89b-12d3-a456-426614174000", "1e5", "true", ";", "%0d%0aX:1",
)  # fmt: skip


def _path(rnd: Random, sent: Sent) -> None:
    path, mark, query = sent.target.partition("?")
    segments = path.split("/")[1:]
    place, other = rnd.randrange(len(segments)), rnd.choice(_SEGMENTS)
    match rnd.randrange(4):
        case 0 | 1:
            segments[place] = other
        case 2:
            segments.insert(place, other)
        case 3 if len(segments) > 1:
            del segments[place]
    sent.target = "/" + "/".join(segments).lstrip("/") + mark + query


_NAMES = (
    "_limit", "_cursor", "_filter", "_sort", "_fields", "_count", "_before", "_replace", "_as_of", "_where", "_skip", "_hint", "_explain",
    "where[salary]", "salary[$gt]", "$where", "salary", "pay.bonus", "name", "level", "at", "_id", "tags", "skills.score", "", "%00", "%ff",
    "access_token", "hint", "comment", "collation", "_made.by", "owner_id", "tenant_id",
)  # fmt: skip
_VALUES = (
    "", "0", "-1", "1", "99999999999999999999", "1e5", "x", "true", "null", "NaN", "%00", "%ff", "%ED%A0%80", "{", "{}", "[]", "[1]", '{"$gt":""}',
    '{"$where":"1"}', '{"salary":{"$gt":0}}', '{"a":1,"a":2}', '{"$or":[]}', '{"level":{"$in":[]}}', '{"level":{"$gt":1e999}}', "-", "-,-", ",",
    "salary", "-salary", "name,name", "pay.bonus", "$x", "a..b", "_version", "a" * 3000, '{"name":{"$regex":"^(a+)+$"}}', '{"level":' + "9" * 30 + "}",
)  # fmt: skip


def _query(rnd: Random, sent: Sent) -> None:
    path, _, query = sent.target.partition("?")
    pairs = [
        *(query.split("&") if query else ()),
        f"{quote(rnd.choice(_NAMES), safe='%')}={quote(rnd.choice(_VALUES), safe='%')}",
    ]
    if rnd.random() < 0.2:
        pairs.append(rnd.choice(pairs))
    sent.target = f"{path}?{'&'.join(pairs)}"


def _cursor(rnd: Random, sent: Sent) -> None:
    """One that was told, with a sign changed; else any."""
    head, mark, cursor = sent.target.partition("_cursor=")
    if not mark:
        return _query(rnd, sent)
    place = rnd.randrange(len(cursor) or 1)
    sent.target = f"{head}_cursor={cursor[:place]}{rnd.choice('aZ0-_')}{cursor[place + rnd.randrange(2) :]}"
    return None


def _method(rnd: Random, sent: Sent) -> None:
    sent.method = rnd.choice(
        ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "get", "X" * 40)
    )
    if sent.body is None and rnd.random() < 0.5:
        sent.body = rnd.choice(ODD).encode("utf-8", "surrogatepass")


WAYS: list[Callable[[Random, Sent], None]] = [
    _header,
    _header,
    _header,
    _credential,
    _chunked,
    _path,
    _path,
    _query,
    _query,
    _cursor,
    _method,
]
