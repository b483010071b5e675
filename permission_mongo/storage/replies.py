"""A command's reply as the driver hands it out, read once, and its size known; and documents sent as their bytes."""

from __future__ import annotations

from typing import Any, Final

from bson import decode
from bson.codec_options import CodecOptions
from bson.errors import BSONError
from bson.raw_bson import DEFAULT_RAW_BSON_OPTIONS, RawBSONDocument

from permission_mongo.storage.decoding import document_of
from permission_mongo.values import CODEC, Document

_AT_ONCE: Final = 2**20  # bytes that are read before anybody has asked how many there are
# The bytes stay as stored; the representation is for the filters and ids that are sent.
RAW: CodecOptions[Any] = DEFAULT_RAW_BSON_OPTIONS.with_options(uuid_representation=CODEC.uuid_representation)


class Stored:
    """A document to be sent as the bytes that it is; made in a fourth of the time of a raw document of the driver's."""

    _type_marker = RawBSONDocument._type_marker  # by which BSON's encoder asks for the bytes
    __slots__ = ("raw",)

    def __init__(self, raw: bytes) -> None:
        self.raw = raw


class Reply(dict[str, Any]):
    """Of a small reply all values, of a larger one those at the top alone. `raw` are its bytes.

    The driver looks into each reply, for the cluster's time. Of a raw document it would decode the top for that, and
    whoever wants the rows decodes them once more.
    """

    _type_marker = RawBSONDocument._type_marker  # by which BSON's decoder hands in the bytes
    __slots__ = ("_is_read", "raw")

    def __init__(self, raw: bytes, options: CodecOptions[Any] | None = None) -> None:
        self.raw = raw
        found, self._is_read = _read(raw)
        super().__init__(found)

    @property
    def is_read(self) -> bool:
        """Whether all of it is values already."""
        return self._is_read

    def read(self) -> Document:
        """All of it, whatever another writer stored."""
        return self if self._is_read else document_of(self.raw)

    def unread(self) -> Any:
        """The same with its documents as their bytes."""
        return decode(self.raw, RAW)


def _read(raw: bytes) -> tuple[Any, bool]:
    if len(raw) <= _AT_ONCE:
        try:
            return decode(raw, CODEC), True
        except BSONError:
            pass  # told where it is wanted: an error in the driver's hands would cost it the connection
    return decode(raw, RAW), False


REPLY: CodecOptions[Any] = CodecOptions(document_class=Reply, uuid_representation=CODEC.uuid_representation)
