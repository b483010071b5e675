"""hooks.yml as JSON Schema."""

from __future__ import annotations

from permission_mongo.config.receivers import MOST_RETRIES_AFTER, MOST_RETRIES_BEFORE, SHORTEST_SECRET
from permission_mongo.config.shapes.words import (
    Shape,
    boolean,
    choice,
    duration,
    entries,
    integer,
    section,
    text,
    texts,
    whole,
)
from permission_mongo.hooks import EVENTS
from permission_mongo.schema.wording import WORDINGS


def hooks_shape() -> Shape:
    of_collection = {
        **{f"pre_{event}": _listed("deletion" if event == "delete" else "step") for event in EVENTS},
        **{f"post_{event}": _listed("told") for event in EVENTS},
    }
    by_collection = entries("The hooks of each collection.", section("", of_collection))
    return whole(
        "hooks.yml of permission-mongo",
        {
            "version": text("Free text.", empty=True),
            "hooks": by_collection,
            "collections": {**by_collection, "description": "Read as `hooks`.", "deprecated": True},
        },
        {
            "step": {"anyOf": [_set_field(), _transform(), _validate(), _validate_ref(), _asked()]},
            "deletion": {"anyOf": [_validate(), _asked()]},
            "told": _told(),
        },
    )


def _listed(name: str) -> Shape:
    one = {"$ref": f"#/$defs/{name}"}
    return {"anyOf": [one, {"type": "array", "items": one}]}


def _hook(action: str, about: str, required: tuple[str, ...], keys: dict[str, Shape]) -> Shape:
    shape = section(about, {"action": choice([action], about), **keys})
    return {**shape, "type": "object", "required": ["action", *required]}


def _field() -> Shape:
    return text("A path of the collection, without positions.")


def _condition(about: str) -> Shape:
    return text(f"{about} Such as `$doc.status != 'sent'`; docs/policy-language.md has the language.")


def _set_field() -> Shape:
    variables = "`$user.id`, `$now`, `$doc.f`, `$new.f`, `$auto.sequence.name`; `$$` stands for a `$`."
    keys = {
        "field": _field(),
        "value": {"description": f"Any value, or {variables}"},
        "condition": _condition("Only where this is true."),
    }
    return _hook("set_field", "The field becomes the value.", ("field", "value"), keys)


def _transform() -> Shape:
    keys = {"field": _field(), "with": choice(WORDINGS), "condition": _condition("Only where this is true.")}
    return _hook("transform", "A text, or each text of a list, is written otherwise.", ("field", "with"), keys)


def _validate() -> Shape:
    keys = {"condition": _condition("What must be true."), "error": text("What the caller is told.", empty=True)}
    return _hook("validate", "The write is refused unless the condition is true.", ("condition",), keys)


def _validate_ref() -> Shape:
    keys = {
        "field": _field(),
        "collection": text("Where the document is."),
        "error": text("What the caller is told.", empty=True),
    }
    about = "What is newly written there is the id of a document that the writer can read."
    return _hook("validate_ref", about, ("field", "collection"), keys)


def _receiver(retries: Shape, timeout: Shape) -> dict[str, Shape]:
    return {
        "url": text("https, or http."),
        "secret": text(f"Signs the call: {SHORTEST_SECRET} bytes or more, or `whsec_` and Base64. Best ${{ENV.NAME}}."),
        "method": choice(["POST", "PUT", "PATCH"], "", "POST"),
        "headers": entries("Further headers.", text(empty=True)),
        "timeout": timeout,
        "retries": retries,
        "fields": texts("What it is told of the document; none if left out."),
        "name": text("What entries, metrics and messages call it."),
    }


def _asked() -> Shape:
    keys = {
        **_receiver(integer("", 0, 0, MOST_RETRIES_BEFORE), duration("For the whole call; at most 30s.", "5s")),
        "on_failure": choice(["reject", "ignore"], "What becomes of the write without an answer.", "reject"),
        "condition": _condition("Asked only where this is true."),
        "async": boolean("A write waits for its answer.", False),
    }
    return _hook("http", "A receiver is asked before the write.", ("url", "secret"), keys)


def _told() -> Shape:
    keys = {
        **_receiver(integer("", 20, 0, MOST_RETRIES_AFTER), duration("For the whole call; at most 60s.", "10s")),
        "async": boolean("No request waits for it.", True),
    }
    return _hook("http", "A receiver is told after the commit, at least once.", ("url", "secret"), keys)
