"""What the operator of a gateway may do at the command line, as a policy: planned and executed like any caller's."""

from __future__ import annotations

from typing import Final

from permission_mongo.policy.grants import Policy
from permission_mongo.policy.rules import Role, Rule

ROLE: Final = "operator"


def purging(collection: str) -> Policy:
    """Read and purge in one collection, and nothing else; with a tenant field, within the tenant that is named."""
    rule = Rule("operator/purge", ROLE, collection, ("read", "purge"))
    return Policy([rule], {ROLE: Role(ROLE)})
