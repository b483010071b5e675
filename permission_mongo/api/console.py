"""The console: a page and its files, the same for everybody. All that they show is asked by the routes of everyone.

What can be asked for is a list made once, of names of files: nothing of a URL is ever put together with a path.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from importlib.resources import files
from typing import Final

from starlette.responses import Response

from permission_mongo.api.calls import IF_NONE_MATCH, Call
from permission_mongo.errors import CollectionNotFound

_PAGE: Final = "index.html"
_KINDS: Final = {
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "svg": "image/svg+xml",
}
# Scripts, styles and requests of this very gateway, and nothing else: no page may frame it, no form leads away, and no
# text becomes markup.
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
_HEADERS: Final = {
    "cache-control": "no-cache",
    "content-security-policy": _POLICY,
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
}


@dataclass(frozen=True, slots=True)
class _File:
    content: bytes
    kind: str
    tag: str


@lru_cache(maxsize=1)
def _files() -> dict[str, _File]:
    found = sorted(files("permission_mongo").joinpath("console").iterdir(), key=lambda one: one.name)
    return {one.name: _file(one.read_bytes(), one.name.rpartition(".")[2]) for one in found if one.is_file()}


def _file(content: bytes, ending: str) -> _File:
    return _File(content, _KINDS[ending], f'"{sha256(content).hexdigest()[:32]}"')


async def show_page(call: Call) -> Response:
    return _shown(call, _PAGE)


async def show_file(call: Call) -> Response:
    return _shown(call, call.path("file"))


def _shown(call: Call, name: str) -> Response:
    """Without a credential: what is served is in every copy of this program."""
    call.parameters.require_known(())
    found = _files().get(name)
    if found is None:
        raise CollectionNotFound("no such route")
    headers = {**_HEADERS, "etag": found.tag}
    known = call.tags(IF_NONE_MATCH)
    if known is not None and known.has_weak(found.tag):
        return Response(status_code=304, headers=headers)
    return Response(found.content, headers={**headers, "content-type": found.kind})
