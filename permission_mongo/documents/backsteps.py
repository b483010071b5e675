"""What leads from a newer state of a document back to the older one, exact to the byte. Pure.

A state is BSON, and its top-level elements are compared and copied as bytes: nothing is decoded, so that order, widths
of numbers, names given twice and text that is no UTF-8 survive.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from struct import pack, unpack_from
from typing import Any, Final

from bson.binary import Binary

_NEXT: Final = -1  # instead of a place in the newer state: the next elements of `own`
# Bytes of a value by its type; a string has its length before it, an object its whole size.
_FIXED: Final = {1: 8, 6: 0, 7: 12, 8: 1, 9: 8, 10: 0, 16: 4, 17: 8, 18: 8, 19: 16, 127: 0, 255: 0}
_STRINGS: Final = {2: 4, 5: 5, 12: 16, 13: 4, 14: 4}
_OBJECTS: Final = (3, 4, 15)
_REGEX: Final = 11


@dataclass(frozen=True, slots=True)
class Backstep:
    """The older state in pieces: `runs` are pairs (place in the newer state, number of elements), `own` the rest.

    `own` is BSON of the elements that the newer state has not got. `digest` is that of the older state.
    """

    runs: tuple[tuple[int, int], ...]
    own: bytes
    digest: bytes

    @property
    def size(self) -> int:
        """About the bytes that it takes to be kept."""
        return len(self.own) + len(self.digest) + 32 * len(self.runs)

    def as_bson(self) -> dict[str, Any]:
        flat = [number for run in self.runs for number in run]
        return {"runs": flat, "own": Binary(self.own), "digest": Binary(self.digest)}

    @staticmethod
    def from_bson(kept: Mapping[str, Any]) -> Backstep:
        flat = list(kept["runs"])
        return Backstep(tuple(zip(flat[::2], flat[1::2], strict=True)), bytes(kept["own"]), bytes(kept["digest"]))


def backstep(newer: bytes, older: bytes) -> Backstep:
    """What `stepped_back` needs to make the older of the newer."""
    places: dict[bytes, int] = {}
    known = list(elements(newer))
    for place, element in enumerate(known):
        places.setdefault(element, place)
    runs: list[list[int]] = []
    own: list[bytes] = []
    for element in elements(older):
        following = runs[-1][0] + runs[-1][1] if runs and runs[-1][0] != _NEXT else 0
        if runs and runs[-1][0] != _NEXT and following < len(known) and known[following] == element:
            runs[-1][1] += 1
            continue
        place = places.get(element, _NEXT)
        if place == _NEXT:
            own.append(element)
            if runs and runs[-1][0] == _NEXT:
                runs[-1][1] += 1
                continue
        runs.append([place, 1])
    return Backstep(tuple((place, count) for place, count in runs), _joined(own), digest_of(older))


def stepped_back(newer: bytes, step: Backstep) -> bytes:
    """The older state. ValueError if the newer is not the one that the step was made for."""
    known, own = list(elements(newer)), elements(step.own)
    parts: list[bytes] = []
    for place, count in step.runs:
        parts += [next(own, b"") for _ in range(count)] if place == _NEXT else known[place : place + count]
    older = _joined(parts)
    if digest_of(older) != step.digest:
        raise ValueError("not the state that this step was made for")
    return older


def digest_of(state: bytes) -> bytes:
    return blake2b(state, digest_size=16).digest()


def _joined(parts: list[bytes]) -> bytes:
    inside = b"".join(parts)
    return pack("<i", len(inside) + 5) + inside + b"\0"


def elements(state: bytes) -> Iterator[bytes]:
    """The top-level elements of a BSON document, each with its type and name."""
    at, end = 4, len(state) - 1
    while at < end:
        value = state.index(b"\0", at + 1) + 1
        after = value + _size(state, state[at], value)
        yield state[at:after]
        at = after


def _size(state: bytes, kind: int, at: int) -> int:
    """The bytes of a value of this type. ValueError for a type that BSON has not got."""
    if kind in _FIXED:
        return _FIXED[kind]
    if kind == _REGEX:
        return state.index(b"\0", state.index(b"\0", at) + 1) + 1 - at
    length: int = unpack_from("<i", state, at)[0]
    if kind in _OBJECTS:
        return length
    if kind in _STRINGS:
        return length + _STRINGS[kind]
    raise ValueError(f"no such type of BSON: {kind}")
