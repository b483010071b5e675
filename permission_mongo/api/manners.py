"""How a kind of caller speaks: where its credentials stand, and what a refusal is to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from starlette.responses import Response

from permission_mongo.api.render import refuse
from permission_mongo.errors import Refusal


@dataclass(frozen=True, slots=True)
class Manner:
    """`keys` are headers of API keys and `tokens` of tokens, beside `Authorization`. All names in small letters.

    `bears_keys`: what `Authorization` bears is an API key unless it is made like a token, whatever it begins with.
    """

    keys: frozenset[bytes]
    tokens: frozenset[bytes]
    refuse: Callable[[Refusal], Response]
    bears_keys: bool = False


OWN: Final = Manner(frozenset({b"x-api-key"}), frozenset(), refuse)
