"""Requests to the door for callers of the Mixpeek API."""

from typing import Any

import httpx

from tests.http.harness import CONFIG, World, a_token

DOOR = f"{CONFIG}doors: [mixpeek, moorcheh]\n"
AT = "/v1/collections/notes/documents"
BATCH = f"{AT}/batch"


async def ask(
    world: World, method: str, path: str, body: Any = None, token: str | None = None, **more
) -> httpx.Response:
    return await world.ask(method, path, body, token=a_token() if token is None else token, **more)


async def delete(world: World, token: str | None = None, **body: Any) -> httpx.Response:
    return await ask(world, "DELETE", BATCH, body, token)


def refused(answer: httpx.Response) -> tuple[int, str, str]:
    told = answer.json()
    assert (told["success"], told["status"], set(told)) == (False, answer.status_code, {"success", "status", "error"})
    assert set(told["error"]) <= {"message", "type", "code", "details"}
    return answer.status_code, told["error"]["type"], told["error"]["message"]
