"""BSON that the server keeps and the driver does not read: old bytes that tell another length of themselves.

The walk knows each type of an element by its size alone, and takes the documents to be as well formed as the server
demands of what it stores.
"""

from __future__ import annotations

from typing import Final

from bson.errors import InvalidBSON

_OLD: Final = 2  # the subtype whose bytes begin with their length once more
_OF_A_USER: Final = 128
_SIZES: Final = {1: 8, 6: 0, 7: 12, 8: 1, 9: 8, 10: 0, 16: 4, 17: 8, 18: 8, 19: 16, 127: 0, 255: 0}
_TEXTS: Final = (2, 13, 14)
_DOCUMENTS: Final = (3, 4)
_BINARY, _REGEX, _POINTER, _SCOPED = 5, 11, 12, 15


def readable(stored: bytes) -> bytes:
    """The same documents, one behind the other, such bytes being of a user's kind. InvalidBSON for no documents."""
    copy = bytearray(stored)
    at = 0
    try:
        while at < len(copy):
            at = _document(copy, at)
    except (ValueError, IndexError) as error:
        raise InvalidBSON("no documents") from error
    return bytes(copy)


def _document(copy: bytearray, at: int) -> int:
    """Where the document that begins there ends."""
    end = at + _size(copy, at)
    at += 4
    while copy[at]:
        at = _value(copy, copy[at], _behind_text(copy, at + 1))
    return end


def _value(copy: bytearray, kind: int, at: int) -> int:
    if kind in _SIZES:
        return at + _SIZES[kind]
    if kind in _TEXTS:
        return at + 4 + _size(copy, at)
    if kind in _DOCUMENTS:
        return _document(copy, at)
    if kind == _BINARY:
        return _bytes(copy, at)
    if kind == _REGEX:
        return _behind_text(copy, _behind_text(copy, at))
    if kind == _POINTER:
        return at + 4 + _size(copy, at) + 12
    if kind == _SCOPED:
        return _document(copy, at + 8 + _size(copy, at + 4))
    raise ValueError("an element of no known type")


def _bytes(copy: bytearray, at: int) -> int:
    size = _size(copy, at)
    if copy[at + 4] == _OLD and (size < 4 or _size(copy, at + 5) != size - 4):
        copy[at + 4] = _OF_A_USER
    return at + 5 + size


def _behind_text(copy: bytearray, at: int) -> int:
    return copy.index(0, at) + 1


def _size(copy: bytearray, at: int) -> int:
    return int.from_bytes(copy[at : at + 4], "little")
