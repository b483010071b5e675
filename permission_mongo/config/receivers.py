"""Addresses outside that hooks call, as hooks.yml writes them."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from typing import Final

from permission_mongo.addresses import fault_of_url
from permission_mongo.config.section import Section, suggestion
from permission_mongo.config.yaml import Mark
from permission_mongo.documents.paths import Path as FieldPath
from permission_mongo.documents.paths import canonical
from permission_mongo.hooks import Event, Receiver
from permission_mongo.schema.model import Collection

SHORTEST_SECRET: Final = 24  # bytes, as the Standard Webhooks say
_LONGEST_PRE: Final = 30.0  # seconds that a write may wait for an answer
_LONGEST_POST: Final = 60.0
MOST_RETRIES_BEFORE: Final = 3
MOST_RETRIES_AFTER: Final = 100
_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,100}")
_HEADER: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
_OWN_HEADERS: Final = ("host", "content-length", "content-type", "transfer-encoding", "connection")


OF_AUDIT: Final = "audit"


class ReceiverReader:
    """The receivers of one collection, each with a name of its own among all."""

    def __init__(self, collection: Collection, names: set[str]) -> None:
        self._collection = collection
        self._names = names

    def before(self, section: Section, event: Event) -> Receiver | None:
        return self._receiver(section, f"pre_{event}", retries=0, longest=_LONGEST_PRE)

    def after(self, section: Section, event: Event) -> Receiver | None:
        return self._receiver(section, f"post_{event}", retries=20, longest=_LONGEST_POST)

    def _receiver(self, section: Section, event: str, *, retries: int, longest: float) -> Receiver | None:
        url = section.text("url")
        fault = fault_of_url(url)
        if fault is not None:
            section.wrong("url", f"the 'url' of a hook {fault}" if section.has("url") else "an http hook has a 'url'")
        before = event.startswith("pre_")
        timeout = section.seconds("timeout", 5.0 if before else 10.0)
        if not 0 < timeout <= longest:
            section.wrong("timeout", f"'timeout' is more than nothing and at most {longest:g}s")
        receiver = Receiver(
            self._name(section, event, url),
            url,
            _secret(section),
            section.choice("method", "POST", ["POST", "PUT", "PATCH"]),
            _headers(section.section("headers")),
            timeout,
            section.integer("retries", retries, 0, MOST_RETRIES_BEFORE if before else MOST_RETRIES_AFTER),
            tuple(path for text, mark in section.texts("fields") for path in self._granted(text, mark, section)),
        )
        return None if fault is not None else receiver

    def _name(self, section: Section, event: str, url: str) -> str:
        """What entries of the outbox are addressed to: it stays the same when hooks are added or moved."""
        mark = hashlib.sha256(url.encode()).hexdigest()[:8]
        name = section.optional_text("name") or f"{self._collection.name}.{event}.{mark}"
        if not _NAME.fullmatch(name):
            section.wrong("name", "a hook's name has letters, digits, '_', '-' and '.' only")
        if name in self._names:
            section.wrong("name", f"there is another hook of the name '{name}'; give each a 'name' of its own")
        self._names.add(name)
        return name

    def _granted(self, text: str, mark: Mark, section: Section) -> list[FieldPath]:
        fault = fault_of_path(text, self._collection)
        if fault is None and self._collection.is_computed(text):
            fault = f"'{text}' is computed when it is read, and no part of what is written"
        if fault is not None:
            section.findings.append(mark.finding(fault))
            return []
        return [canonical(text)]


def audit_receiver(section: Section) -> Receiver | None:
    """`audit.webhook`: who is told of each entry."""
    url = section.text("url")
    fault = fault_of_url(url)
    if fault is not None:
        section.wrong("url", f"the 'url' of a webhook {fault}" if section.has("url") else "a webhook has a 'url'")
    timeout = section.seconds("timeout", 10.0)
    if not 0 < timeout <= _LONGEST_POST:
        section.wrong("timeout", f"'timeout' is more than nothing and at most {_LONGEST_POST:g}s")
    retries = section.integer("retries", 20, 0, MOST_RETRIES_AFTER)
    secret, headers = _secret(section), _headers(section.section("headers"))
    section.done()
    return None if fault is not None else Receiver(OF_AUDIT, url, secret, "POST", headers, timeout, retries)


def _secret(section: Section) -> bytes:
    """As the Standard Webhooks write it, `whsec_` before Base64, or any text."""
    text = section.text("secret")
    try:
        secret = base64.b64decode(text.removeprefix("whsec_"), validate=True) if text.startswith("whsec_") else None
    except binascii.Error:
        section.wrong("secret", "what follows 'whsec_' is Base64")
        return b""
    key = text.encode() if secret is None else secret
    if len(key) < SHORTEST_SECRET:
        section.wrong("secret", f"an http hook has a 'secret' of at least {SHORTEST_SECRET} bytes: it signs")
    return key


def _headers(section: Section) -> tuple[tuple[str, str], ...]:
    found: list[tuple[str, str]] = []
    for name in section.node.entries:
        value = section.text(name)
        if not _HEADER.fullmatch(name) or name.lower() in _OWN_HEADERS or name.lower().startswith("webhook-"):
            section.wrong(name, f"'{name}' can't be set by a hook")
        if not all(sign == "\t" or 32 <= ord(sign) < 127 for sign in value):
            section.wrong(name, "a header's value is plain ASCII in one line")
        found.append((name, value))
    return tuple(found)


def fault_of_path(text: str, collection: Collection) -> str | None:
    if not all(text.split(".")) or canonical(text) != tuple(text.split(".")):
        return f"'{text}': a field's path has no positions and no '$'"
    if not collection.knows(text):
        return f"'{collection.name}' has no field '{text}'{suggestion(text, collection.fields)}"
    return None
