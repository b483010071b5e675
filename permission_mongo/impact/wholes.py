"""One collection of two configurations."""

from __future__ import annotations

from dataclasses import dataclass

from permission_mongo.config.model import Config
from permission_mongo.documents.paths import Path


@dataclass(frozen=True, slots=True)
class Whole:
    """`paths` are enough to tell any two rules on its fields apart."""

    old: Config
    new: Config
    collection: str
    paths: tuple[Path, ...]
