"""Bytes of blobs on their way in and out: never more of them at once than a part."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import quote

from starlette.responses import Response, StreamingResponse

from permission_mongo.api.calls import IF_MATCH, Call
from permission_mongo.api.endpoints import answered
from permission_mongo.api.errors import UnsupportedMediaType
from permission_mongo.api.render import render
from permission_mongo.blobs import Stored
from permission_mongo.errors import DocumentNotFound, InvalidRequest
from permission_mongo.gateway import Gateway
from permission_mongo.observations import BlobMoved
from permission_mongo.operations import UpdateOne
from permission_mongo.parsing.blobs import Said, read_drop_blob, read_get_blob, read_upload
from permission_mongo.parsing.once import HEADER
from permission_mongo.planning.showing import Shown
from permission_mongo.uploading import Uploading

_RANGE: Final = re.compile(r"bytes=([0-9]{0,15})-([0-9]{0,15})")
_PLAIN: Final = re.compile(r"[\x21-\x7e][\x20-\x7e]*")
_UNKNOWN: Final = "application/octet-stream"
# Whatever a caller put there is a file to keep, and no page of this address.
_HARMLESS: Final = {"content-security-policy": "sandbox; default-src 'none'", "x-accel-buffering": "no"}


async def put_blob(call: Call) -> Response:
    """Asked first, then taken, then named."""
    asking, collection, headers = await call.asking(IF_MATCH), call.collection, call.request.headers
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise UnsupportedMediaType("a compressed body is not taken")
    said = Said(headers.getlist("content-type"), headers.getlist("content-disposition"))
    named = call.path("id"), call.path("field")
    upload = read_upload(*named, call.parameters, said, call.conditions, collection)
    gateway = call.gateway
    uploading = Uploading(upload, asking, gateway.config.limits, bool(call.keys))
    owner = await uploading.admitted(gateway.planner, gateway.store)

    async def write(operation: UpdateOne, digest: bytes) -> Shown:
        # What makes a repeated request the same: all that is kept of the bytes.
        call.received = digest + f"{upload.content_type}\n{upload.filename}".encode()
        return await answered(call, operation, asking)

    stored = await uploading.kept(owner, call.parts(uploading.most), gateway.store)
    gateway.observe(BlobMoved("in", stored.blob.size_bytes))
    return render(await uploading.named(owner, stored, write, gateway.store), collection.name)


async def drop_blob(call: Call) -> Response:
    asking, collection = await call.asking(IF_MATCH), call.collection
    operation = read_drop_blob(call.path("id"), call.path("field"), call.parameters, call.conditions, collection)
    await call.no_body()
    return render(await answered(call, operation, asking), collection.name)


async def get_blob(call: Call) -> Response:
    asking, collection = await call.asking(), call.collection
    operation = read_get_blob(call.path("id"), call.path("field"), call.parameters, collection)
    if call.keys:
        raise InvalidRequest(f"{HEADER}: this request writes nothing")
    return await _bytes(call, call.gateway, await call.gateway.blob_of(operation, asking))


async def get_presigned(call: Call) -> Response:
    """For whoever holds the address: who it was made for was asked then."""
    call.pay_by_address()
    call.parameters.require_known(())
    found = call.gateway.presigned(call.path("token"))
    if found is None:
        raise _gone()
    return await _bytes(call, *found)


async def _bytes(call: Call, gateway: Gateway, stored: Stored) -> Response:
    blob = stored.blob
    span = _span(call, blob.size_bytes)
    first, last = span or (0, blob.size_bytes - 1)
    parts = await gateway.store.open_bytes(stored, first, last)
    if parts is None:
        raise _gone()
    gateway.observe(BlobMoved("out", last - first + 1))
    kind = blob.content_type if _PLAIN.fullmatch(blob.content_type) else _UNKNOWN
    headers = {
        **_HARMLESS,
        "content-type": kind,
        "content-length": str(last - first + 1),
        "content-disposition": f"attachment; filename*=UTF-8''{quote(blob.filename.encode(errors='replace'), safe='')}",
        "accept-ranges": "bytes",
    }
    if span is not None:
        headers["content-range"] = f"bytes {first}-{last}/{blob.size_bytes}"
    return StreamingResponse(parts, 200 if span is None else 206, headers)


def _span(call: Call, size: int) -> tuple[int, int] | None:
    """RFC 9110, section 14.2: the one range that is asked for; None where all is sent, as of what can't be met."""
    headers = call.request.headers
    asked = headers.getlist("range")
    found = _RANGE.fullmatch(asked[0].strip()) if len(asked) == 1 and "if-range" not in headers else None
    if found is None or not (found[1] or found[2]):
        return None
    first = int(found[1]) if found[1] else max(0, size - int(found[2]))
    last = min(int(found[2]), size - 1) if found[1] and found[2] else size - 1
    return (first, last) if first <= last else None


def _gone() -> DocumentNotFound:
    return DocumentNotFound("there is nothing at this address, or no more")
