"""The calls about one collection's documents. Pure: each method says what to ask and how the answer is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, TypedDict, TypeVar, Unpack, cast

from permission_mongo.client import reading
from permission_mongo.client.call import (
    Answer,
    BatchOptions,
    Call,
    FilterOptions,
    Options,
    ReasonedOptions,
    SingleOptions,
    TaggedOptions,
    WriteOptions,
    collection_path,
    get,
    id_text,
    post,
    require_known,
    segment,
)
from permission_mongo.client.errors import Unsendable
from permission_mongo.client.json import Document, Types, moment_text, write_json
from permission_mongo.client.reading import Reading
from permission_mongo.client.results import (
    BatchResult,
    Deleted,
    DeleteResult,
    Difference,
    Found,
    Gathered,
    InsertResult,
    OldState,
    Page,
    Purged,
    UndoResult,
    UpdateResult,
    Version,
    Written,
)
from permission_mongo.client.walking import Pages

B = TypeVar("B", bound=BatchResult)
# An id of one of the three types: a text, a `uuid.UUID`, a `bson.ObjectId`.
Id = object
Filter = Mapping[str, Any]
Sort = str | Sequence[str]
_OPTIONS: Final = ("atomic", "dry_run", "max_affected", "results", "reason")
_SELECTIONS: Final = frozenset({"ids", "items", "updates", "filter"})


class Selection(TypedDict, total=False):
    """Which documents, by one of the first four; a `filter` that is empty only with `all`.

    `items` and `updates` say of each its own, as docs/http-api.md has them.
    """

    ids: Sequence[Id]
    items: Sequence[Mapping[str, Any]]
    updates: Sequence[Mapping[str, Any]]
    filter: Filter
    all: bool


class State(Options, total=False):
    """What of a document is asked: some of its `fields`, or what it was at the moment `as_of`."""

    fields: Sequence[str] | None
    as_of: datetime | str | None


class Asking(State, total=False):
    """What a list is asked besides its filter: `sort` is `"a,-b"` or a list of such names.

    `count` has each page tell the rows of all pages.
    """

    sort: Sort | None
    count: bool


@dataclass(frozen=True, slots=True)
class DocumentCalls:
    """Of the collection `name`; `types` say what values are made of, None leaves them as JSON has them."""

    name: str
    types: Types | None = None

    def __post_init__(self) -> None:
        collection_path(self.name)

    @property
    def path(self) -> str:
        return collection_path(self.name)

    @property
    def reads(self) -> Reading:
        return Reading(self.types)

    def at(self, document: Id, *rest: object) -> str:
        return "/".join([self.path, segment(document), *map(str, rest)])

    # -- reading

    def page(
        self, filter: Filter | None = None, limit: int | None = None, cursor: str | None = None, **asked: Unpack[Asking]
    ) -> Call[Page]:
        """One page; `cursor` is that of the page before, asked with the same filter and sort."""
        if asked.get("as_of") is not None:
            return self._page_of_then(filter, limit, cursor, asked)
        body = {
            "filter": filter,
            "sort": asked.get("sort"),
            "fields": asked.get("fields"),
            "limit": limit,
            "cursor": cursor,
            "count": asked.get("count") or None,
        }
        return post(f"{self.path}/query", _given(body), self.reads.page).said(asked)

    def _page_of_then(self, filter: Filter | None, limit: int | None, cursor: str | None, asked: Asking) -> Call[Page]:
        if asked.get("sort") not in (None, "_id", ["_id"]) or asked.get("count"):
            raise Unsendable("as_of: a list of the past is in the order of _id, and has no count")
        query = {"_limit": limit, "_cursor": cursor, "_as_of": _moment(asked.get("as_of")), **_fields(asked)}
        if filter:
            query["_filter"] = write_json(filter).decode()
        return get(self.path, self.reads.page, query).said(asked)

    def pages(self, filter: Filter | None, asked: Asking) -> Pages:
        require_known(asked, Asking, of="find")
        return lambda limit, cursor: self.page(filter, limit, cursor, **asked)

    def deleted_pages(self, options: Options) -> Pages:
        require_known(options, Options, of="deleted")
        path = f"{self.path}/deleted"
        return lambda limit, cursor: get(path, self.reads.page, {"_limit": limit, "_cursor": cursor}).said(options)

    def find_one(self, which: Id | Filter, **asked: Unpack[State]) -> Call[Document | None]:
        """The document with this id, or any that the filter finds; None where there is none that the caller may see."""
        if isinstance(which, Mapping):
            return self.page(which, 1, **cast("Asking", asked)).giving(self.reads.first)
        return self.get(which, **asked).giving(self.reads.only, absent=("document_not_found", None))

    def get(self, document: Id, **asked: Unpack[State]) -> Call[Found]:
        """The document and its etag. NotFound where there is none that the caller may see."""
        query = {"_as_of": _moment(asked.get("as_of")), **_fields(asked)}
        return get(self.at(document), self.reads.found, query).said(asked)

    def get_many(
        self, ids: Sequence[Id], fields: Sequence[str] | None = None, **options: Unpack[Options]
    ) -> Call[Gathered]:
        """Documents by their ids, in that order; ids that no path can hold are taken here."""
        body = _given({"ids": _ids(ids), "fields": fields})
        return post(f"{self.path}/batch/get", body, self.reads.gathered).said(options)

    def count(self, filter: Filter | None = None, **options: Unpack[Options]) -> Call[int]:
        """How many documents the filter finds, of those that the caller may see."""
        return post(f"{self.path}/count", _given({"filter": filter}), reading.count).said(options)

    def aggregate(self, pipeline: Sequence[Mapping[str, Any]], **options: Unpack[Options]) -> Call[list[Document]]:
        """The rows of a pipeline; docs/http-api.md says what a pipeline may hold."""
        return post(f"{self.path}/aggregate", {"pipeline": pipeline}, self.reads.rows).said(options)

    # -- writing one

    def insert_one(self, document: Mapping[str, Any], **options: Unpack[ReasonedOptions]) -> Call[Written]:
        """One new document."""
        return replace(post(self.path, document, self.reads.written).reasoned(options), takes=frozenset({201}))

    def update_one(self, document: Id, update: Mapping[str, Any], **options: Unpack[SingleOptions]) -> Call[Written]:
        """One change: update operators, or a JSON Merge Patch in which None removes."""
        call = Call("PATCH", self.at(document), self.reads.written, body=write_json(update))
        return call.single(options)

    def replace_one(
        self, document: Id, replacement: Mapping[str, Any], **options: Unpack[SingleOptions]
    ) -> Call[Written]:
        """The whole document anew. What the caller may not write stays as it is."""
        query = (("_replace", "true"),)
        call = Call("PUT", self.at(document), self.reads.written, body=write_json(replacement), query=query)
        return call.single(options)

    def delete_one(self, document: Id, **options: Unpack[SingleOptions]) -> Call[Deleted]:
        """One deletion. NotFound where there is nothing that the caller may see."""
        return Call("DELETE", self.at(document), reading.deleted).single(options)

    def purge(self, document: Id, reason: str, **options: Unpack[TaggedOptions]) -> Call[Purged]:
        """The document and all its versions erased for good; `reason` is all that is left."""
        return post(self.at(document, "purge"), {"reason": reason}, reading.purged).tagged(options)

    # -- writing many

    def insert_many(
        self, documents: Sequence[Mapping[str, Any]], **options: Unpack[BatchOptions]
    ) -> Call[InsertResult]:
        """New documents, in as few transactions as they fit in."""
        body = {"documents": documents}
        return _batch(post(f"{self.path}/batch", body | _said(options), _whole(reading.inserted, options)), options)

    def update_many(
        self,
        which: Selection | Sequence[Id],
        update: Mapping[str, Any] | None = None,
        **options: Unpack[FilterOptions],
    ) -> Call[UpdateResult]:
        """The same change for all: `which` is a list of ids, `{"ids"}` or `{"filter"}`.

        Without `update` to each its own: `{"updates": [{"id", "update", "if_match"?}]}`.
        """
        body = {**selected(which), **_given({"update": update}), **_said(options)}
        call = Call("PUT", f"{self.path}/batch", _whole(reading.updated, options), body=write_json(body))
        return _batch(call, options)

    def delete_many(self, which: Selection | Sequence[Id], **options: Unpack[FilterOptions]) -> Call[DeleteResult]:
        """Deletions: `which` is a list of ids, `{"ids"}`, `{"items": [{"id", "if_match"?}]}` or `{"filter"}`."""
        body = {**selected(which), **_said(options)}
        return _batch(post(f"{self.path}/batch/delete", body, _whole(reading.removed, options)), options)

    def undo(self, batch: str, **options: Unpack[BatchOptions]) -> Call[UndoResult]:
        """What a batch did is put back, as far as nobody changed it since. It is a batch itself."""
        path = f"{self.path}/batch/{segment(batch)}/undo"
        return _batch(post(path, _said(options), _whole(reading.undone, options)), options)

    # -- history

    def versions(
        self, document: Id, limit: int | None = None, before: int | None = None, **options: Unpack[Options]
    ) -> Call[tuple[Version, ...]]:
        """The writes of a document, newest first, at most 100; `before` is a version to go on from."""
        query = {"_limit": limit, "_before": before}
        return get(self.at(document, "versions"), reading.versions, query).said(options)

    def version(self, document: Id, version: int, **options: Unpack[Options]) -> Call[OldState]:
        """The document as that version made it."""
        return get(self.at(document, "versions", _number(version)), self.reads.old_state).said(options)

    def diff(self, document: Id, earlier: int, later: int, **options: Unpack[Options]) -> Call[Difference]:
        """What is different between two versions."""
        path = self.at(document, "diff", _number(earlier), _number(later))
        return get(path, reading.difference).said(options)

    def restore(self, document: Id, version: int, **options: Unpack[SingleOptions]) -> Call[Written]:
        """The content of an old version written again as a new one, of a deleted document too."""
        return post(self.at(document, "restore", _number(version)), None, self.reads.written).single(options)


def selected(which: Any) -> dict[str, Any]:
    """The part of a body that says which documents. Unsendable for what could be meant in two ways."""
    if isinstance(which, str | bytes):
        raise Unsendable("expected a list of ids, or a selection; of one document there are update_one and delete_one")
    if not isinstance(which, Mapping):
        return {"ids": _ids(which)}
    if len(_SELECTIONS & which.keys()) != 1 or not which.keys() <= {*_SELECTIONS, "all"}:
        raise Unsendable('expected {"ids": [...]}, {"filter": {...}}, {"items": [...]} or {"updates": [...]}')
    named = {**which, "ids": _ids(which["ids"])} if "ids" in which else dict(which)
    for key in ("items", "updates"):
        if key in named:
            named[key] = [{**one, "id": id_text(one.get("id"))} for one in cast("Sequence[Document]", named[key])]
    return named


def _ids(ids: Sequence[Id]) -> list[str]:
    if isinstance(ids, str | bytes | Mapping):
        raise Unsendable("ids: expected a list of ids")
    return [id_text(one) for one in ids]


def _batch(call: Call[B], options: FilterOptions | BatchOptions) -> Call[B]:
    """A dry run takes no key, and may be asked as often as one likes."""
    made = call.said(options) if options.get("dry_run") else call.once(cast("WriteOptions", options))
    waits = not options.get("respond_async")
    headers = made.headers if waits else {**made.headers, "prefer": "respond-async"}
    return replace(made, headers=headers, takes=frozenset({200, 201, 207} if waits else {200, 201, 202, 207}))


def _whole(read: Callable[[Any, Answer], B], options: BatchOptions) -> Callable[[Any, Answer], B]:
    """A batch that was done in part is no result that can be taken for a whole one."""

    def read_whole(body: Any, answer: Answer) -> B:
        result = read(body, answer)
        if not options.get("partial_ok"):
            result.raise_for_errors()
        return result

    return read_whole


def _said(options: BatchOptions) -> dict[str, Any]:
    # By identity: a `max_affected` of 0 equals False, and must not get lost.
    return {name: value for name in _OPTIONS if (value := options.get(name)) is not None and value is not False}


def _given(body: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if value is not None}


def _fields(asked: State | Asking) -> dict[str, Any]:
    fields = asked.get("fields")
    if isinstance(fields, str):
        raise Unsendable("fields: expected a list of names")
    return {"_fields": None if fields is None else ",".join(fields)}


def _moment(moment: datetime | str | None) -> str | None:
    return moment_text(moment) if isinstance(moment, datetime) else moment


def _number(version: object) -> int:
    if not isinstance(version, int) or isinstance(version, bool) or version < 0:
        raise Unsendable("a version is a whole number")
    return version
