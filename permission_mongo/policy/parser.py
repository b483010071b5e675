"""Tokens -> Expression, by hand, Pratt's way. Refuses whatever the language can't mean exactly in a Mongo filter."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from functools import lru_cache
from typing import Final

from bson import ObjectId
from bson.errors import InvalidId

from permission_mongo.policy.construction import (
    compare,
    document_segments,
    member,
    reads_objects,
    refuse_document,
    user_segments,
)
from permission_mongo.policy.lexer import Token, tokens_of
from permission_mongo.policy.nodes import (
    MIRRORED,
    AnyElement,
    Comparator,
    Constant,
    Contains,
    Expression,
    Has,
    Items,
    Not,
    Operand,
    Path,
    RuleError,
    StartsWith,
    Value,
    conjunction,
    disjunction,
)
from permission_mongo.values import INT64_MAX, read_date

MAX_DEPTH: Final = 50
_REMEMBERED: Final = 10_000  # expressions, none of them longer than _LONGEST
_LONGEST: Final = 2_000
_COMPARATORS: Final[dict[str, Comparator]] = {c: c for c in MIRRORED}
Documents = Mapping[str, tuple[str, ...]]
ONE_DOCUMENT: Final[Documents] = {"resource": (), "doc": ()}
_ROOTS: Final = ("resource", "doc", "user", "request")
_REQUEST: Final = ("method", "ip", "time")
_FUNCTIONS: Final = ("has", "startsWith", "containsAny", "containsAll", "any", "date", "oid")
_WORDS: Final = (*_FUNCTIONS, "now", "null", "true", "false")
_RESERVED: Final = (*_ROOTS, *_WORDS, "and", "or", "not", "in", "is")


def parse(text: str, documents: Documents = ONE_DOCUMENT) -> Expression:
    """The expression that `text` means. RuleError, with an offset into `text`, if it means none.

    `documents` names the documents it may read, each with the path at which it will stand.
    """
    if documents is ONE_DOCUMENT:
        return _parsed(text) if len(text) <= _LONGEST else _whole(_Parser(tokens_of(text), documents))
    return _whole(_Parser([_without_sign(token) for token in tokens_of(text)], documents))


@lru_cache(maxsize=_REMEMBERED)
def _parsed(text: str) -> Expression:
    """What an edit leaves as it was is not read anew, whatever rule it stands in; no node ever changes."""
    return _whole(_Parser(tokens_of(text), ONE_DOCUMENT))


def _whole(parser: _Parser) -> Expression:
    expression = parser.expression()
    parser.expect_end()
    return expression


def _without_sign(token: Token) -> Token:
    """Hooks write `$user.id` and `$now` as well."""
    is_signed = token.kind == "name" and token.text in ("$user", "$now", "$request")
    return Token("name", token.text[1:], token.offset) if is_signed else token


class _Parser:
    def __init__(self, tokens: list[Token], documents: Documents) -> None:
        self._tokens = tokens
        self._documents = documents
        self._at = 0
        self._depth = 0
        self._variables: list[str] = []

    # -- tokens

    @property
    def _next(self) -> Token:
        return self._tokens[self._at]

    @property
    def _following(self) -> Token:
        return self._tokens[min(self._at + 1, len(self._tokens) - 1)]

    def _take(self) -> Token:
        token = self._next
        self._at += token.kind != "end"
        return token

    def _took(self, *texts: str) -> bool:
        if self._next.kind in ("symbol", "name") and self._next.text in texts:
            self._at += 1
            return True
        return False

    def _expect(self, text: str) -> None:
        if not self._took(text):
            raise RuleError(f"expected '{text}' but found {_shown(self._next)}", self._next.offset)

    def expect_end(self) -> None:
        if self._next.kind != "end":
            raise RuleError(f"unexpected {_shown(self._next)} after the expression", self._next.offset)

    # -- logic, loosest first

    def expression(self) -> Expression:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise RuleError(f"an expression nests at most {MAX_DEPTH} deep", self._next.offset)
        parts = [self._conjunction()]
        while self._took("||", "or"):
            parts.append(self._conjunction())
        self._depth -= 1
        return disjunction(tuple(parts)) if len(parts) > 1 else parts[0]

    def _conjunction(self) -> Expression:
        parts = [self._negation()]
        while self._took("&&", "and"):
            parts.append(self._negation())
        return conjunction(tuple(parts)) if len(parts) > 1 else parts[0]

    def _negation(self) -> Expression:
        flips = 0
        while self._next.text in ("!", "not") and self._next.kind in ("symbol", "name"):
            sign, following = self._take(), self._next
            # `!a == b` reads one way in C and another in Python: neither is taken.
            if sign.text == "!" and not (following.text in ("(", "!") or self._following.text == "("):
                raise RuleError("write '!(...)': what '!' covers must stand in brackets", sign.offset)
            flips += 1
        part = self._test()
        return Not(part) if flips % 2 else part

    # -- single tests

    def _test(self) -> Expression:
        if self._took("("):
            inner = self.expression()
            self._expect(")")
            return inner
        token = self._next
        if token.kind == "name" and self._following.text == "(" and token.text in _TESTS:
            self._at += 2
            test = _TESTS[token.text](self)
            self._expect(")")
            return test
        if token.kind == "name" and token.text in ("true", "false") and not self._is_compared():
            return Constant(self._take().text == "true")
        return self._comparison()

    def _is_compared(self) -> bool:
        return self._following.text in (*_COMPARATORS, "in", "not", "is")

    def _comparison(self) -> Expression:
        offset = self._next.offset
        left = self._operand()
        token = self._take()
        if token.text in _COMPARATORS:
            return compare(_COMPARATORS[token.text], left, self._operand(), offset)
        if token.text == "in":
            return member(left, self._operand(), offset)
        if token.text == "not" and self._took("in"):
            return Not(member(left, self._operand(), offset))
        if token.text == "is":
            negated = self._took("not")
            self._expect("null")
            return compare("!=" if negated else "==", left, Value(None), offset)
        raise RuleError(
            f"expected a comparison after {_spoken(left)}, such as '== true', but found {_shown(token)}", token.offset
        )

    def has(self) -> Expression:
        path = self._document_path("has")
        if self._variables:
            raise RuleError("has() can't stand inside any(); compare with a value or null instead", path.offset)
        return Has(path)

    def starts_with(self) -> Expression:
        path = self._document_path("startsWith")
        self._expect(",")
        offset = self._next.offset
        prefix = self._operand()
        if isinstance(prefix, Items) or (isinstance(prefix, Value) and not isinstance(prefix.value, str)):
            raise RuleError("startsWith compares with a string", offset)
        refuse_document(prefix, offset)
        return StartsWith(path, prefix)

    def contains_any(self) -> Expression:
        return self._contains("any")

    def contains_all(self) -> Expression:
        return self._contains("all")

    def _contains(self, quantifier: str) -> Expression:
        path = self._document_path(f"contains{quantifier.title()}")
        self._expect(",")
        offset = self._next.offset
        items = self._operand()
        if isinstance(items, Value):
            raise RuleError("expected a list, such as ['a', 'b'] or user.roles", offset)
        refuse_document(items, offset)
        return Contains("any" if quantifier == "any" else "all", path, items)

    def any_element(self) -> Expression:
        path = self._document_path("any")
        self._expect(",")
        name = self._take()
        if (
            name.kind != "name"
            or name.text.startswith("$")
            or name.text in (*_ROOTS, *_WORDS, "and", "or", "not", "in", "is")
        ):
            raise RuleError(f"expected a new name for the element but found {_shown(name)}", name.offset)
        self._expect("=>")
        self._variables.append(name.text)
        test = self.expression()
        self._variables.pop()
        return AnyElement(path, test, reads_objects(test, name.offset))

    # -- operands

    def _operand(self) -> Operand:
        token = self._take()
        match token.kind:
            case "string":
                return Value(token.text)
            case "integer":
                if not -INT64_MAX - 1 <= int(token.text) <= INT64_MAX:
                    raise RuleError("an integer of at most 64 bits", token.offset)
                return Value(int(token.text))
            case "float":
                return Value(_finite(token))
            case "symbol" if token.text == "[":
                return self._items()
            case "name":
                return self._named(token)
            case _:
                raise RuleError(f"expected a path or a value but found {_shown(token)}", token.offset)

    def _named(self, token: Token) -> Operand:
        match token.text:
            case "true" | "false":
                return Value(token.text == "true")
            case "null":
                return Value(None)
            case "now":
                return Path("now", (), "date", token.offset)
            case "date" | "oid":
                return self._converted(token)
        if self._variables and token.text == self._variables[-1]:
            return Path("element", self._segments(), offset=token.offset)
        if token.text in self._variables:
            raise RuleError(f"'{token.text}' is out of reach: a test reads only its own element", token.offset)
        return self._path(token)

    def _converted(self, token: Token) -> Value:
        self._expect("(")
        text = self._take()
        if text.kind != "string":
            raise RuleError(f"{token.text}() takes a string", text.offset)
        self._expect(")")
        try:
            return Value(read_date(text.text) if token.text == "date" else ObjectId(text.text))
        except (ValueError, InvalidId) as error:
            expected = "a date such as 2026-01-31T12:00:00Z" if token.text == "date" else "24 hex digits"
            raise RuleError(f"{token.text}() expects {expected}", text.offset) from error

    def _path(self, token: Token) -> Path:
        prefix = self._documents.get(token.text)
        if prefix is None and token.text not in ("user", "request"):
            near = get_close_matches(token.text, [*self._documents, "user", "request", *_WORDS], 1)
            raise RuleError(
                f"unknown name '{token.text}'" + (f"; did you mean '{near[0]}'?" if near else ""), token.offset
            )
        segments = self._segments()
        if not segments:
            raise RuleError(f"'{token.text}' alone is no value; name a field, such as {token.text}.id", token.offset)
        if prefix is not None:
            if self._variables:
                raise RuleError("inside any() only the element can be read", token.offset)
            return Path("resource", (*prefix, *document_segments(segments, token.offset)), offset=token.offset)
        if token.text == "request":
            if segments[0] not in _REQUEST or len(segments) > 1:
                raise RuleError(f"request has {', '.join(_REQUEST)}; not '{'.'.join(segments)}'", token.offset)
            return Path("request", segments, offset=token.offset)
        return Path("user", user_segments(segments, token.offset), offset=token.offset)

    def _segments(self) -> tuple[str, ...]:
        segments: list[str] = []
        while self._took("."):
            token = self._take()
            if token.kind != "name":
                raise RuleError(f"expected a field name but found {_shown(token)}", token.offset)
            segments.append(token.text)
        return tuple(segments)

    def _items(self) -> Items:
        items: list[Path | Value] = []
        while not self._took("]"):
            if items:
                self._expect(",")
            offset = self._next.offset
            item = self._operand()
            if isinstance(item, Items):
                raise RuleError("a list can't hold a list", offset)
            refuse_document(item, offset)
            items.append(item)
        return Items(tuple(items))

    def _document_path(self, function: str) -> Path:
        offset = self._next.offset
        path = self._operand()
        if not isinstance(path, Path) or path.root not in ("resource", "element"):
            raise RuleError(f"{function}() takes a field of the document first, such as resource.status", offset)
        return path


_TESTS: Final[dict[str, Callable[[_Parser], Expression]]] = {
    "has": _Parser.has,
    "startsWith": _Parser.starts_with,
    "containsAny": _Parser.contains_any,
    "containsAll": _Parser.contains_all,
    "any": _Parser.any_element,
}


def _finite(token: Token) -> float:
    number = float(token.text)
    if number in (float("inf"), float("-inf")):
        raise RuleError("a number too large for a double", token.offset)
    return number


def _shown(token: Token) -> str:
    return "the end" if token.kind == "end" else f"'{token.text}'"


def _spoken(operand: Operand) -> str:
    return f"'{operand.root}.{operand.dotted}'" if isinstance(operand, Path) and operand.segments else "this value"
