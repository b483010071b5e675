"""Requests that carry a blob -> operations."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote_to_bytes

from permission_mongo.blobs import Blob
from permission_mongo.documents.changes import Merge
from permission_mongo.documents.etags import Tags
from permission_mongo.errors import InvalidRequest
from permission_mongo.operations import GetOne, UpdateOne
from permission_mongo.parsing.conditions import Conditions
from permission_mongo.parsing.fields import reason_of
from permission_mongo.parsing.ids import read_id
from permission_mongo.parsing.lists import Parameters
from permission_mongo.query.limits import Limits
from permission_mongo.schema.model import Collection
from permission_mongo.schema.validate import FieldError, as_violation
from permission_mongo.values import DocumentId

_LONGEST_NAME: Final = 255  # bytes, as of most file systems
_LONGEST_TYPE: Final = 255
_TOKEN: Final = r"[a-z0-9!#$%&'*+.^_`|~-]+"  # noqa: S105  (RFC 9110, section 5.6.2)
_TYPE: Final = re.compile(rf"({_TOKEN}/{_TOKEN})[ \t]*((?:;[\x21-\x7e \t]*)?)", re.IGNORECASE)
_QUOTED: Final = re.compile(r'filename="((?:[^"\\]|\\.)*)"|filename=([^\s;"]+)', re.IGNORECASE)
_EXTENDED: Final = re.compile(r"filename\*=(?:utf-8)'[^']*'([^\s;]+)", re.IGNORECASE)
_UNKNOWN: Final = "application/octet-stream"
_NONE: Final = "0" * 64


@dataclass(frozen=True, slots=True)
class Upload:
    """Bytes that are about to come: for which document and field, and what they are called."""

    collection: Collection
    id: DocumentId
    field: str
    filename: str
    content_type: str
    if_match: Tags | None = None
    reason: str | None = None

    def operation(self, size: int = 0, checksum: str = _NONE) -> UpdateOne:
        """Name these bytes in the document. Before they are there it is asked whether that may be done at all."""
        blob = Blob(self.filename, self.content_type, size, checksum)
        return _change(self, Merge({self.field: blob.as_document()}))

    def most(self, limits: Limits) -> int:
        """How many bytes may come; asked of a field that the caller may write."""
        return self.collection.fields[self.field].max_bytes or limits.max_blob_bytes

    def require_taken(self) -> None:
        """SchemaViolation for another type than the field takes; asked of a field that the caller may write."""
        taken = self.collection.fields[self.field].content_types
        plain = self.content_type.partition(";")[0].strip()
        if taken and plain not in taken and f"{plain.partition('/')[0]}/*" not in taken:
            message = f"is {plain}; taken are {', '.join(taken)}"
            raise as_violation([FieldError(self.field, "content_type", message)])


@dataclass(frozen=True, slots=True)
class Said:
    """What the head of an upload says of it, each header as often as it came."""

    content_types: Sequence[str]
    dispositions: Sequence[str]


def read_upload(
    text: str, name: str, parameters: Parameters, said: Said, conditions: Conditions, collection: Collection
) -> Upload:
    """What the field takes is not looked at yet: that is for who may write it."""
    parameters.require_known(("filename",))
    filename = _filename(parameters.get("filename"), said.dispositions) or "file"
    reason = reason_of(conditions.reason, "X-Change-Reason")
    one, kind = read_id(text, collection, "id"), _content_type(said.content_types)
    return Upload(collection, one, name, filename, kind, conditions.if_match, reason)


def read_drop_blob(
    text: str, name: str, parameters: Parameters, conditions: Conditions, collection: Collection
) -> UpdateOne:
    parameters.require_known(())
    reason = reason_of(conditions.reason, "X-Change-Reason")
    change = Merge({name: None})
    return UpdateOne(collection, read_id(text, collection, "id"), change, conditions.if_match, reason, blob=name)


def read_get_blob(text: str, name: str, parameters: Parameters, collection: Collection) -> GetOne:
    """A look at this field alone: a hidden, a masked and an unknown one are refused as by `_fields`."""
    parameters.require_known(())
    return GetOne(collection, read_id(text, collection, "id"), (name,))


def _change(upload: Upload, change: Merge) -> UpdateOne:
    return UpdateOne(upload.collection, upload.id, change, upload.if_match, upload.reason, blob=upload.field)


def _content_type(values: Sequence[str]) -> str:
    """RFC 9110, section 8.3; bytes of which nothing is said are of no known type."""
    if not values:
        return _UNKNOWN
    found = _TYPE.fullmatch(values[0].strip()) if len(values) == 1 and len(values[0]) <= _LONGEST_TYPE else None
    if found is None:
        raise InvalidRequest("Content-Type: expected one such as image/png")
    return found[1].lower() + found[2]


def _filename(parameter: str | None, dispositions: Sequence[str]) -> str | None:
    """By the query string, else by Content-Disposition (RFC 6266). Its last step alone: a path is nobody's business."""
    text = parameter if parameter is not None else _disposed(dispositions)
    if text is None:
        return None
    name = text.replace("\\", "/").rpartition("/")[2]
    if not name or name in (".", "..") or not name.isprintable() or len(name.encode(errors="replace")) > _LONGEST_NAME:
        raise InvalidRequest(f"filename: expected a name of 1 to {_LONGEST_NAME} bytes that can be printed")
    return name


def _disposed(values: Sequence[str]) -> str | None:
    if not values:
        return None
    if len(values) > 1:
        raise InvalidRequest("Content-Disposition: given twice")
    extended, quoted = _EXTENDED.search(values[0]), _QUOTED.search(values[0])
    if extended is not None:
        try:
            return unquote_to_bytes(extended[1]).decode()
        except UnicodeDecodeError as error:
            raise InvalidRequest("Content-Disposition: the filename is no UTF-8") from error
    if quoted is None:
        return None
    return re.sub(r"\\(.)", r"\1", quoted[1]) if quoted[1] is not None else quoted[2]
