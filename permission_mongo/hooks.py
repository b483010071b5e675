"""The hooks of a collection as hooks.yml has them: what is asked and changed before a write, and who is told of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final, Literal, assert_never

from permission_mongo.documents.paths import Path as FieldPath
from permission_mongo.policy.nodes import ALWAYS, Expression, Path
from permission_mongo.schema.wording import How

Event = Literal["create", "update", "delete"]
EVENTS: Final[tuple[Event, ...]] = ("create", "update", "delete")
OLD: Final = "old"
NEW: Final = "new"
MOST_ASKED: Final = 100  # documents of one request, or of one chunk of a filter's work, that a receiver is asked of
_NOTHING: Final[Mapping[Event, tuple[Any, ...]]] = {}


# -- as written


@dataclass(frozen=True, slots=True)
class Given:
    """A value that stands in hooks.yml, or that the caller's request settled."""

    value: Any


@dataclass(frozen=True, slots=True)
class Drawn:
    """The next number of a sequence of the document's tenant."""

    sequence: str


@dataclass(frozen=True, slots=True)
class SetField:
    """`field` becomes the value where the condition is true."""

    field: FieldPath
    value: Given | Drawn | Path
    condition: Expression = ALWAYS


@dataclass(frozen=True, slots=True)
class Transform:
    """The text at `field`, or each text of the array there, written otherwise."""

    field: FieldPath
    how: How
    condition: Expression = ALWAYS


@dataclass(frozen=True, slots=True)
class Validate:
    """The write is refused with `message` unless the condition is true."""

    condition: Expression
    message: str


@dataclass(frozen=True, slots=True)
class ValidateRef:
    """What is newly written at `field` must be the id of a document of `collection` that the writer can read."""

    field: FieldPath
    collection: str
    message: str


@dataclass(frozen=True, slots=True)
class Receiver:
    """An address outside and how it is called. Times in seconds; `fields` are what it is granted of the document."""

    name: str
    url: str = field(repr=False)
    secret: bytes = field(repr=False)
    method: str = "POST"
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    timeout: float = 10.0
    retries: int = 20
    fields: tuple[FieldPath, ...] = ()

    @property
    def address(self) -> bytes:
        """A mark of the URL: hooks of one URL are one receiver, and told in one order."""
        return sha256(self.url.encode()).digest()


@dataclass(frozen=True, slots=True)
class Call:
    """The receiver is asked before the write; `ignores` says that one without an answer stands in no way.

    What it wants set must be below none of the top-level fields `kept`.
    """

    receiver: Receiver
    kept: frozenset[str]
    ignores: bool = False
    condition: Expression = ALWAYS


Step = SetField | Transform | Validate | ValidateRef | Call


@dataclass(frozen=True, slots=True)
class Hooks:
    """What hooks.yml says of one collection."""

    pre: Mapping[Event, tuple[Step, ...]] = field(default_factory=lambda: _NOTHING)
    post: Mapping[Event, tuple[Receiver, ...]] = field(default_factory=lambda: _NOTHING)

    @property
    def calls(self) -> bool:
        """Whether a receiver is asked before writes."""
        return any(isinstance(step, Call) for steps in self.pre.values() for step in steps)

    def asks_outside(self, event: Event) -> bool:
        """Whether such a write may want something that only the outside can tell."""
        return any(
            isinstance(step, Call) or (isinstance(step, SetField) and isinstance(step.value, Drawn))
            for step in self.pre.get(event, ())
        )

    @property
    def posts(self) -> Posts:
        if not self.post:
            return NO_POSTS
        told = {
            event: tuple(Post(one.name, one.address, one.fields) for one in self.post.get(event, ()))
            for event in EVENTS
        }
        return Posts(told["create"], told["update"], told["delete"])


NO_HOOKS: Final = Hooks()


# -- who is told afterwards


@dataclass(frozen=True, slots=True)
class Post:
    """A hook's name, the mark of its receiver's address, and what it is granted of the document."""

    name: str
    address: bytes
    fields: tuple[FieldPath, ...] = ()


@dataclass(frozen=True, slots=True)
class Posts:
    """Who is told of the writes of one collection."""

    create: tuple[Post, ...] = ()
    update: tuple[Post, ...] = ()
    delete: tuple[Post, ...] = ()

    def of(self, event: Event) -> tuple[Post, ...]:
        match event:
            case "create":
                return self.create
            case "update":
                return self.update
            case "delete":
                return self.delete
            case _:
                assert_never(event)

    @property
    def any(self) -> bool:
        return bool(self.create or self.update or self.delete)


NO_POSTS: Final = Posts()
