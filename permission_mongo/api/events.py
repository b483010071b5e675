"""A job as server-sent events (HTML standard, section 9.2): `progress` on each change, `done` at its end."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from time import monotonic
from typing import Final

from starlette.responses import Response

from permission_mongo.api.calls import Call
from permission_mongo.api.errors import unforeseen
from permission_mongo.api.render import job_body
from permission_mongo.errors import Refusal, Unauthenticated
from permission_mongo.operations import GetJob
from permission_mongo.outcomes import Job
from permission_mongo.planning.callers import Asking
from permission_mongo.values import write_json

_LOOK: Final = 0.5  # seconds between two looks
_SILENCE: Final = 15.0  # seconds after which a comment says that the line still stands
_HEADERS: Final = {"cache-control": "no-store", "x-accel-buffering": "no"}


async def events_of(call: Call, operation: GetJob, asking: Asking) -> Response:
    """The first look is made before the answer begins: a refusal is told by its status."""
    job = await _look(call, operation, asking)
    return call.streams.answer(asking.principal, _events(call, operation, asking, job), _HEADERS)


async def _look(call: Call, operation: GetJob, asking: Asking) -> Job:
    shown = await call.gateway.current.answer(operation, asking)
    assert isinstance(shown, Job)  # noqa: S101  (a GetJob leads to nothing else)
    return shown


async def _events(call: Call, operation: GetJob, asking: Asking, job: Job) -> AsyncIterator[bytes]:
    """No status is left to tell what goes wrong by."""
    try:
        async with aclosing(_told(call, operation, asking, job)) as told:
            async for one in told:
                yield one
    except Refusal as refusal:
        yield _event("error", write_json({"error": refusal.as_entry()}))
    except Exception as error:
        yield _event("error", write_json({"error": unforeseen(error, call.request_id).as_entry()}))


async def _told(call: Call, operation: GetJob, asking: Asking, job: Job) -> AsyncGenerator[bytes, None]:
    """Each look is a request of its own: a credential that is no longer good ends the stream."""
    told, spoke = b"", monotonic()
    while not job.is_over:
        body = write_json(job_body(job))
        if body != told:
            yield _event("progress", body)
            told, spoke = body, monotonic()
        elif monotonic() - spoke > _SILENCE:
            yield b": still here\n\n"
            spoke = monotonic()
        if not await call.streams.go_on(_LOOK):
            return
        await _require_in_force(call, asking)
        job = await _look(call, operation, replace(asking, now=call.gateway.clock()))
    yield _event("done", write_json(job_body(job)))


async def _require_in_force(call: Call, asking: Asking) -> None:
    who, now = asking.principal, call.gateway.clock()
    if who.expires is not None and replace(asking, now=now).posix() >= who.expires:
        raise Unauthenticated("the credential has expired")
    await call.gateway.current.authenticator.require_in_force(who)


def _event(name: str, body: bytes) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (name.encode(), body)
