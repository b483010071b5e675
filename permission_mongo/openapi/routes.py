"""The routes about documents: what each needs, takes and answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from permission_mongo.openapi import bodies
from permission_mongo.openapi.answers import many_of, page_of, version_of
from permission_mongo.openapi.audience import Audience, Seen
from permission_mongo.openapi.bodies import schema_name
from permission_mongo.openapi.words import Shape, a_list, ref, text
from permission_mongo.policy.rules import Action

Answers = dict[int, Shape | None]  # by status; None for an answer without a body


@dataclass(frozen=True, slots=True)
class Route:
    """One method at one path of the table. `needs` are actions; `headers` those of each good answer.

    `versioned`: of collections that keep versions alone; `of_blobs`: of those that show blobs. `keyed` writes take an
    idempotency key.
    """

    method: str
    path: str
    name: str
    summary: str
    needs: tuple[Action, ...]
    parameters: tuple[str, ...]
    answers: Callable[[Seen], Answers]
    codes: tuple[str, ...]
    body: Callable[[Seen, Audience], Shape] | None = None
    headers: tuple[str, ...] = ()
    versioned: bool = False
    keyed: bool = False
    of_blobs: bool = False
    kind: str = "application/json"


def _document(seen: Seen) -> Shape:
    return ref(schema_name(seen))


def _one(seen: Seen) -> Answers:
    return {200: _document(seen)}


def _page(seen: Seen) -> Answers:
    return {200: page_of(_document(seen))}


def _fixed(name: str, *statuses: int) -> Callable[[Seen], Answers]:
    return lambda seen: dict.fromkeys(statuses or (200,), ref(name))


def _many(name: str, first: tuple[int, ...] = (200, 207), *, may_be_job: bool = False) -> Callable[[Seen], Answers]:
    jobs: Answers = {202: ref("Started")} if may_be_job else {}
    return lambda seen: {**dict.fromkeys(first, ref(name)), **jobs}


_BODY: Final = ("payload_too_large", "unsupported_media_type", "request_timeout")
_ABSENT: Final = ("document_not_found",)
_CHANGED: Final = ("conflict", "schema_validation", "hook_rejected")
_WRITE: Final = (*_BODY, *_CHANGED)
_WRITE_ONE: Final = (*_WRITE, *_ABSENT, "precondition_failed")
_OF_PAST: Final = (*_ABSENT, "version_not_found")
_WHICH: Final = ("collection", "id")

ROUTES: Final[tuple[Route, ...]] = (
    Route(
        "GET",
        "/{collection}",
        "list",
        "A page of documents",
        ("read",),
        ("collection", "limit", "cursor", "sort", "fields", "count", "as_of", "presign", "filter", "equal"),
        _page,
        ("as_of_out_of_range",),
    ),
    Route(
        "POST",
        "/{collection}",
        "create",
        "Create a document",
        ("create",),
        ("collection", "change_reason"),
        lambda seen: {201: _document(seen)},
        _WRITE,
        bodies.create_one,
        ("Location!", "ETag", "Idempotency-Replayed"),
        keyed=True,
    ),
    Route(
        "GET",
        "/{collection}/{id}",
        "get",
        "A document",
        ("read",),
        (*_WHICH, "fields", "as_of", "presign", "if_none_match"),
        lambda seen: {200: _document(seen), 304: None},
        (*_ABSENT, "as_of_out_of_range"),
        headers=("ETag!",),
    ),
    Route(
        "PUT",
        "/{collection}/{id}",
        "put",
        "Set fields of a document, or all of it",
        ("update",),
        (*_WHICH, "replace", "if_match", "change_reason"),
        _one,
        _WRITE_ONE,
        bodies.put_one,
        ("ETag", "Idempotency-Replayed"),
        keyed=True,
    ),
    Route(
        "PATCH",
        "/{collection}/{id}",
        "patch",
        "Change a document",
        ("update",),
        (*_WHICH, "if_match", "change_reason"),
        _one,
        _WRITE_ONE,
        bodies.patch_one,
        ("ETag", "Idempotency-Replayed"),
        keyed=True,
    ),
    Route(
        "DELETE",
        "/{collection}/{id}",
        "delete",
        "Delete a document",
        ("delete",),
        (*_WHICH, "if_match", "change_reason"),
        _fixed("Deleted"),
        _WRITE_ONE,
        headers=("Idempotency-Replayed",),
        keyed=True,
    ),
    Route(
        "PUT",
        "/{collection}/{id}/blobs/{field}",
        "putBlob",
        "Put bytes into a field",
        ("update", "read"),
        (*_WHICH, "blob", "filename", "if_match", "change_reason"),
        _one,
        _WRITE_ONE,
        bodies.bytes_of_blob,
        ("ETag", "Idempotency-Replayed"),
        keyed=True,
        of_blobs=True,
    ),
    Route(
        "GET",
        "/{collection}/{id}/blobs/{field}",
        "getBlob",
        "The bytes of a field",
        ("read",),
        (*_WHICH, "blob"),
        lambda seen: {200: text(), 206: text()},
        _ABSENT,
        of_blobs=True,
        kind="application/octet-stream",
    ),
    Route(
        "DELETE",
        "/{collection}/{id}/blobs/{field}",
        "dropBlob",
        "Remove a blob",
        ("update", "read"),
        (*_WHICH, "blob", "if_match", "change_reason"),
        _one,
        _WRITE_ONE,
        headers=("ETag", "Idempotency-Replayed"),
        keyed=True,
        of_blobs=True,
    ),
    Route(
        "POST",
        "/{collection}/query",
        "query",
        "A page of documents, asked for in the body",
        ("read",),
        ("collection",),
        _page,
        _BODY,
        bodies.query,
    ),
    Route(
        "POST",
        "/{collection}/count",
        "count",
        "How many documents there are",
        ("read",),
        ("collection",),
        _fixed("Count"),
        _BODY,
        bodies.count,
    ),
    Route(
        "POST",
        "/{collection}/aggregate",
        "aggregate",
        "What a pipeline makes of documents",
        ("aggregate",),
        ("collection",),
        _fixed("Rows"),
        _BODY,
        bodies.aggregate,
    ),
    Route(
        "POST",
        "/{collection}/batch",
        "createMany",
        "Create documents",
        ("create",),
        ("collection",),
        _many("BatchCreated", (200, 201, 207)),
        _WRITE,
        bodies.create_many,
        ("Idempotency-Replayed",),
        keyed=True,
    ),
    Route(
        "PUT",
        "/{collection}/batch",
        "updateMany",
        "Change documents",
        ("update",),
        ("collection", "prefer"),
        _many("BatchUpdated", may_be_job=True),
        _WRITE_ONE,
        bodies.update_many,
        ("Idempotency-Replayed",),
        keyed=True,
    ),
    Route(
        "DELETE",
        "/{collection}/batch",
        "deleteMany",
        "Delete documents",
        ("delete",),
        ("collection", "prefer"),
        _many("BatchDeleted", may_be_job=True),
        _WRITE_ONE,
        bodies.delete_many,
        ("Idempotency-Replayed",),
        keyed=True,
    ),
    Route(
        "POST",
        "/{collection}/batch/delete",
        "deleteManyByPost",
        "Delete documents, for who can't send a DELETE with a body",
        ("delete",),
        ("collection", "prefer"),
        _many("BatchDeleted", may_be_job=True),
        _WRITE_ONE,
        bodies.delete_many,
        ("Idempotency-Replayed",),
        keyed=True,
    ),
    Route(
        "POST",
        "/{collection}/batch/get",
        "getMany",
        "Documents by their ids",
        ("read",),
        ("collection",),
        lambda seen: {200: many_of(_document(seen))},
        _BODY,
        bodies.get_many,
    ),
    Route(
        "POST",
        "/{collection}/batch/{batch}/undo",
        "undo",
        "Undo a batch",
        ("restore",),
        ("collection", "batch"),
        _many("BatchRestored"),
        (*_WRITE_ONE, "batch_not_found"),
        bodies.undo,
        ("Idempotency-Replayed",),
        versioned=True,
        keyed=True,
    ),
    Route(
        "GET",
        "/{collection}/deleted",
        "listDeleted",
        "A page of deleted documents",
        ("restore",),
        ("collection", "limit", "cursor"),
        _page,
        (),
        versioned=True,
    ),
    Route(
        "POST",
        "/{collection}/{id}/purge",
        "purge",
        "Erase a document and its versions",
        ("purge",),
        (*_WHICH, "if_match"),
        _fixed("Purged"),
        _WRITE_ONE,
        bodies.purge_one,
        ("Idempotency-Replayed",),
        keyed=True,
    ),
    Route(
        "GET",
        "/{collection}/{id}/versions",
        "listVersions",
        "The versions of a document",
        ("read",),
        (*_WHICH, "versions_limit", "before"),
        lambda seen: {200: a_list(ref("VersionEntry"))},
        _OF_PAST,
        versioned=True,
    ),
    Route(
        "GET",
        "/{collection}/{id}/versions/{version}",
        "getVersion",
        "A document as it was",
        ("read",),
        (*_WHICH, "version"),
        lambda seen: {200: version_of(_document(seen))},
        _OF_PAST,
        versioned=True,
    ),
    Route(
        "GET",
        "/{collection}/{id}/diff/{from}/{to}",
        "compare",
        "What differs between two versions",
        ("read",),
        (*_WHICH, "from", "to"),
        _fixed("Differences"),
        _OF_PAST,
        versioned=True,
    ),
    Route(
        "POST",
        "/{collection}/{id}/restore/{version}",
        "restore",
        "Bring back an old state",
        ("restore",),
        (*_WHICH, "version", "if_match", "change_reason"),
        _one,
        (*_WRITE_ONE, "version_not_found"),
        bodies.nothing,
        ("ETag", "Idempotency-Replayed"),
        versioned=True,
        keyed=True,
    ),
)
# Reading the past and the versions is answered by 501 where a collection keeps none: these are for such that do.
OF_VERSIONS: Final = ("as_of",)
