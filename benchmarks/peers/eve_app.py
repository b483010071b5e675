"""Eve, told what the gateway is told. It runs among Eve's own packages and imports nothing of ours."""

import os

from eve import Eve
from eve.auth import TokenAuth

_TOKENS = {os.environ["PEER_TOKEN"]: os.environ["PEER_CALLER"]}
_TENANT = os.environ["PEER_TENANT"]


class Remembered(TokenAuth):
    """A token seen before, as the gateway's are: its caller by one look-up."""

    def check_auth(self, token, allowed_roles, resource, method):
        caller = _TOKENS.get(token)
        if caller is not None:
            self.set_request_auth_value(caller)
        return caller is not None


def _stamp(documents):
    for one in documents:
        one["tenant_id"] = _TENANT


_NOTES = {
    "schema": {
        "tenant_id": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "string"},
        "email": {"type": "string"},
        "amount": {"type": "number"},
        "at": {"type": "datetime"},
        "tags": {"type": "list", "schema": {"type": "string"}},
    },
    "resource_methods": ["GET", "POST"],
    "item_methods": ["GET"],
    "auth_field": "owner_id",
    "datasource": {"filter": {"tenant_id": _TENANT}},
    "versioning": True,
    "mongo_indexes": {"owners": ([("tenant_id", 1), ("owner_id", 1)], {})},
}

app = Eve(
    auth=Remembered,
    settings={
        "MONGO_URI": os.environ["MONGODB_URI"],
        "MONGO_DBNAME": os.environ["PEER_DATABASE"],
        "DOMAIN": {"notes": _NOTES},
        "DATE_FORMAT": "%Y-%m-%dT%H:%M:%SZ",
    },
)
app.on_insert_notes += _stamp
