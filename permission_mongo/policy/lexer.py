"""A `when` text cut into tokens. Knows spelling; knows no grammar."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

from permission_mongo.policy.nodes import RuleError

TokenKind = Literal["name", "string", "integer", "float", "symbol", "end"]

MAX_LENGTH: Final = 10_000
_TOKEN = re.compile(
    r"""(?P<space>\s+)
      | (?P<float>-?\d+\.\d+(?:[eE][+-]?\d+)?|-?\d+[eE][+-]?\d+)
      | (?P<integer>-?\d+)
      | (?P<name>\$?[A-Za-z_][A-Za-z0-9_]*)
      | (?P<string>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')
      | (?P<symbol>\|\||&&|==|!=|<=|>=|=>|[!<>()\[\].,])""",
    re.VERBOSE,
)
_ESCAPES: Final = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\", "'": "'", '"': '"'}


@dataclass(frozen=True, slots=True)
class Token:
    kind: TokenKind
    text: str
    offset: int


def tokens_of(text: str) -> list[Token]:
    """The tokens of `text`, with an `end` token last. RuleError where no token begins."""
    if len(text) > MAX_LENGTH:
        raise RuleError(f"an expression has at most {MAX_LENGTH} characters; this one has {len(text)}")
    tokens: list[Token] = []
    position = 0
    while position < len(text):
        found = _TOKEN.match(text, position)
        if found is None:
            raise RuleError(_explain(text, position), position)
        if found.lastgroup != "space":
            tokens.append(_token(found))
        position = found.end()
    tokens.append(Token("end", "", len(text)))
    return tokens


def _token(found: re.Match[str]) -> Token:
    kind, text = found.lastgroup, found.group()
    if kind == "string":
        return Token("string", _unescape(text[1:-1], found.start()), found.start())
    return Token(kind, text, found.start())  # type: ignore[arg-type]  # the pattern's group names are the kinds


def _unescape(text: str, offset: int) -> str:
    def replaced(found: re.Match[str]) -> str:
        letter = found.group(1)
        if letter not in _ESCAPES:
            raise RuleError(f"unknown escape '\\{letter}' in a string", offset)
        return _ESCAPES[letter]

    plain = re.sub(r"\\(.)", replaced, text)
    if "\x00" in plain:
        raise RuleError("a string can't hold NUL", offset)
    return plain


def _explain(text: str, position: int) -> str:
    sign = text[position]
    if sign in "\"'":
        return "a string that does not end"
    if sign == "=":
        return "unexpected '='; did you mean '=='?"
    if sign in "&|":
        return f"unexpected '{sign}'; did you mean '{sign * 2}'?"
    return f"unexpected '{sign}'"
