"""A question about the rules -> an operation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from permission_mongo.config.model import Auth, Config
from permission_mongo.errors import CollectionNotFound, InvalidRequest
from permission_mongo.operations import Explain
from permission_mongo.parsing.fields import read_body, require_known
from permission_mongo.parsing.ids import read_id
from permission_mongo.policy.rules import ACTIONS, Action
from permission_mongo.principal import Principal, claimed_principal
from permission_mongo.query.filters import read_filter
from permission_mongo.schema.model import Collection


def read_explain(body: bytes, config: Config) -> Explain:
    """`{"action", "collection", "id"?, "filter"?, "as"?}`."""
    found = read_body(body)
    require_known(found, ("action", "collection", "id", "filter", "as"))
    whom = read_claims(found["as"], config.auth, "as") if "as" in found else None
    return _explain(found, config, whom)


def explain_of(asked: Mapping[str, Any], config: Config, whom: Principal) -> Explain:
    """The same for who runs the gateway: no right is asked for, and nothing kept back."""
    return replace(_explain(asked, config, whom), at_the_machine=True)


def _explain(found: Mapping[str, Any], config: Config, whom: Principal | None) -> Explain:
    action, collection = read_action(found.get("action")), _collection(found.get("collection"), config)
    if "id" in found and "filter" in found:
        raise InvalidRequest("id, filter: send one of the two")
    if action == "create" and ("id" in found or "filter" in found):
        raise InvalidRequest("a document that is created has no id yet, and no filter finds it")
    return Explain(
        collection,
        action,
        read_id(found["id"], collection, "id") if "id" in found else None,
        read_filter(found["filter"], collection, config.limits) if "filter" in found else None,
        whom,
    )


def read_action(sent: Any) -> Action:
    for action in ACTIONS:
        if sent == action:
            return action
    raise InvalidRequest(f"action: expected one of {', '.join(ACTIONS)}")


def read_claims(sent: Any, auth: Auth, place: str) -> Principal:
    """The caller that a token with these claims would be. InvalidRequest where no token with them is taken."""
    if not isinstance(sent, Mapping):
        raise InvalidRequest(f"{place}: expected an object of claims")
    try:
        return claimed_principal(sent, auth.user_claim, auth.tenant_claim, auth.roles_claim, auth.namespaces_claim)
    except ValueError as error:
        raise InvalidRequest(f"{place}: {error}") from error


def _collection(sent: Any, config: Config) -> Collection:
    if not isinstance(sent, str):
        raise InvalidRequest("collection: expected its name")
    found = config.collections.get(sent)
    if found is None:
        raise CollectionNotFound("no such collection", collection=sent[:128])
    return found
