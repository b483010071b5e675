"""A call as values: what is to be asked, and how its answer is read. No connection is known here, and no clock."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import update_wrapper, wraps
from inspect import signature
from types import MappingProxyType
from typing import Any, Final, Generic, Literal, ParamSpec, TypedDict, TypeVar, cast, get_args, get_type_hints
from urllib.parse import quote, urlencode

from permission_mongo.client.errors import NotUnderstood, Unsendable
from permission_mongo.client.json import write_json

P = ParamSpec("P")
T = TypeVar("T")
U = TypeVar("U")
# May the same be sent again? `freely`: it changes nothing, or to do it twice is to do it once. `keyed`: under the same
# idempotency key. `never`: only where it is sure that it did not arrive.
Repeats = Literal["freely", "keyed", "never"]
_NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})
_KINDS: Final = ("application/json", "text/html", "text/plain", "text/xml", "application/xml")
# Words that are routes where an id would stand, and routes of the service where a collection would.
_NO_IDS: Final = frozenset({"batch", "count", "aggregate", "query", "deleted", ".", ".."})
_NO_COLLECTIONS: Final = frozenset({"health", "ready", "metrics", "api", "_pm", ".", ".."})


class Options(TypedDict, total=False):
    """Of every call. `timeout`: the seconds in which all attempts together must succeed."""

    namespace: str | None
    timeout: float | None


class WriteOptions(Options, total=False):
    """Of every write. An `idempotency_key` of one's own takes the place of the one that the client makes."""

    idempotency_key: str | None


class TaggedOptions(WriteOptions, total=False):
    """Of a write of one document: `if_match` is an etag, of the state that it must have."""

    if_match: str | None


class ReasonedOptions(WriteOptions, total=False):
    """Of a write that is kept as a version, with its `reason`."""

    reason: str | None


class SingleOptions(TaggedOptions, ReasonedOptions, total=False):
    """Of a write of one document that is there."""


class BatchOptions(WriteOptions, total=False):
    """Of a batch, see docs/http-api.md. `partial_ok`: return what was done in part instead of raising PartlyDone."""

    atomic: bool
    dry_run: bool
    max_affected: int | None
    results: bool
    reason: str | None
    partial_ok: bool


class FilterOptions(BatchOptions, total=False):
    """Of a batch that may be asked by a filter. `respond_async`: do not wait for the end of long work."""

    respond_async: bool


def strict(make: Callable[P, T]) -> Callable[P, T]:
    """A maker of calls that takes no option which its type does not name: a misspelled `dry_run` would not be dry."""
    [kind] = get_args(get_type_hints(make)[_name_of_options(make)])

    @wraps(make)
    def made(*args: P.args, **named: P.kwargs) -> T:
        require_known(named, kind, code.co_varnames[: code.co_argcount], code.co_name)
        return make(*args, **named)

    code = make.__code__
    return made


def described(ask: Callable[..., Any], make: Callable[..., Any]) -> None:
    """`ask` has the words and the arguments of `make`, and returns what that one's call comes to: for `help`."""
    update_wrapper(ask, make)
    told = signature(make)
    result = str(told.return_annotation).removeprefix("Call[").removesuffix("]")
    vars(ask)["__signature__"] = told.replace(return_annotation=result)


def _name_of_options(make: Callable[..., Any]) -> str:
    return next(one.name for one in signature(make).parameters.values() if one.kind is one.VAR_KEYWORD)


def require_known(named: Iterable[str], kind: Any, also: Iterable[str] = (), of: str = "this") -> None:
    """TypeError for an option that is none of this kind of options."""
    unknown = sorted({*named} - kind.__optional_keys__ - {*also})
    if unknown:
        raise TypeError(f"{of}() takes no {', '.join(unknown)}")


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer, read whole. The names of `headers` are in small letters; the log knows it by its `request_id`."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = field(default=b"", repr=False)
    request_id: str | None = None

    @property
    def is_replay(self) -> bool:
        return self.headers.get("idempotency-replayed") == "true"

    def not_understood(self, what: str) -> NotUnderstood:
        """Told without a word of the body: whoever wrote it may have put in what it was sent."""
        sent = self.headers.get("content-type", "").partition(";")[0].strip().lower()
        kind = sent if sent in _KINDS else "of no kind that is known here"
        told = f"an answer that no gateway gives: {what} ({kind}, {len(self.body)} bytes)"
        return NotUnderstood(told, request_id=self.request_id, status=self.status)


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """`read` makes the result of the parsed body of an answer whose status is one of `takes`.

    `absent` is the code of a refusal that is no failure, and the result that it stands for.
    """

    method: str
    path: str
    read: Callable[[Any, Answer], T]
    body: bytes | None = field(default=None, repr=False)
    query: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    repeats: Repeats = "freely"
    key: str | None = None
    timeout: float | None = None
    takes: frozenset[int] = frozenset({200})
    absent: tuple[str, T] | None = None

    @property
    def target(self) -> str:
        return f"{self.path}?{urlencode(self.query, quote_via=quote)}" if self.query else self.path

    @property
    def writes(self) -> bool:
        return self.repeats != "freely"

    def giving(self, read: Callable[[Any, Answer], U], absent: tuple[str, U] | None = None) -> Call[U]:
        """The same call, whose answer is read in another way."""
        return cast("Call[U]", replace(cast("Call[Any]", self), read=read, absent=absent))

    def said(self, options: Options) -> Call[T]:
        """With the options of every call."""
        timeout = options.get("timeout")
        if timeout is not None and not timeout > 0:
            raise Unsendable("timeout: expected seconds above 0")
        return replace(self, timeout=timeout).with_header("x-namespace", options.get("namespace"), "namespace")

    def once(self, options: WriteOptions) -> Call[T]:
        """With the options of every write."""
        key = options.get("idempotency_key")
        return replace(self.said(options), repeats="keyed", key=None if key is None else plain(key, "idempotency_key"))

    def reasoned(self, options: ReasonedOptions) -> Call[T]:
        """With the options of a write that is kept as a version."""
        return self.once(options).with_header("x-change-reason", options.get("reason"), "reason")

    def tagged(self, options: TaggedOptions) -> Call[T]:
        """With the options of a write of one document."""
        return self.once(options).with_header("if-match", options.get("if_match"), "if_match")

    def single(self, options: SingleOptions) -> Call[T]:
        """With the options of a write of one document that is kept as a version."""
        return self.reasoned(options).with_header("if-match", options.get("if_match"), "if_match")

    def with_header(self, header: str, value: str | None, name: str) -> Call[T]:
        return self if value is None else replace(self, headers={**self.headers, header: plain(value, name)})


def post(path: str, body: Any, read: Callable[[Any, Answer], T]) -> Call[T]:
    return Call("POST", path, read, body=None if body is None else write_json(body))


def get(path: str, read: Callable[[Any, Answer], T], query: Mapping[str, Any] = _NO_HEADERS) -> Call[T]:
    """What is None in `query` is not asked."""
    return Call(
        "GET", path, read, query=tuple((name, str(value)) for name, value in query.items() if value is not None)
    )


def plain(text: object, name: str) -> str:
    """A text that a header can hold: Latin-1 without control characters."""
    if not isinstance(text, str) or not text or text != text.strip():
        raise Unsendable(f"{name}: expected a text, without spaces around it")
    if not text.isprintable() or any(ord(sign) > 255 for sign in text):
        raise Unsendable(f"{name}: a header holds only Latin-1 and no control characters")
    return text


def segment(value: object) -> str:
    """An id as a part of a path. Unsendable for one that would ask something else, or that no path can hold."""
    text = id_text(value)
    if text in _NO_IDS or any(sign in text for sign in "/\\\x00"):
        raise Unsendable(f"{text!r} can't stand in a path as an id; name it in a list of ids (get_many, delete_many)")
    return _quoted(text)


def collection_path(name: object) -> str:
    if not isinstance(name, str) or not name or name in _NO_COLLECTIONS or any(sign in name for sign in "/\\\x00"):
        raise Unsendable(f"{name!r} can't be the name of a collection")
    return f"/{_quoted(name)}"


def id_text(value: object) -> str:
    """An id of one of the three types as its text."""
    kind = type(value)
    named = f"{kind.__module__.partition('.')[0]}.{kind.__name__}"
    if not isinstance(value, str) and named not in ("uuid.UUID", "bson.ObjectId"):
        raise Unsendable(f"an id is a text, a UUID or an ObjectId, not a {kind.__name__}")
    if not str(value):
        raise Unsendable("an id has at least one character")
    return str(value)


def _quoted(text: str) -> str:
    try:
        return quote(text, safe="")
    except UnicodeEncodeError:
        raise Unsendable("half of a surrogate pair can't be sent") from None
