"""A gateway that runs, and how clients of it are made."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pymongo.database import Database

from permission_mongo.client import AsyncClient, Client
from tests.http.harness import a_token


@dataclass(frozen=True)
class Place:
    address: str
    port: int
    folder: Path
    database: Database[dict[str, Any]]

    def token(self, *roles: str, sub: str = "alice") -> str:
        return a_token(sub, roles, namespaces=["default", "eu"])

    def client(self, *roles: str, sub: str = "alice", address: str | None = None, **options: Any) -> Client:
        return Client(address or self.address, token=self.token(*roles, sub=sub), **options)

    def async_client(self, *roles: str, sub: str = "alice", **options: Any) -> AsyncClient:
        return AsyncClient(self.address, token=self.token(*roles, sub=sub), **options)
