"""Requests to the door for callers of the Atlas Data API."""

import json
from typing import Any

import httpx

from tests.http.harness import CONFIG, World, a_token

DOOR = f"{CONFIG}doors: [atlas_data_api]\n"
AT = "/app/myapp-abcde/endpoint/data/v1/action"


async def act(
    world: World, action: str, token: str | None = None, headers: dict[str, str] | None = None, **body: Any
) -> httpx.Response:
    """One action on the notes of the default namespace; by default alice's, a user of acme."""
    sent = {"jwttokenstring": a_token() if token is None else token, "content-type": "application/json"}
    place = {"dataSource": "mongodb-atlas", "database": "default", "collection": "notes"}
    content = json.dumps({**place, **body})
    return await world.client.post(f"{AT}/{action}", headers={**sent, **(headers or {})}, content=content)
