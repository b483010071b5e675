"""A key is one caller's; a fingerprint is one request's."""

import pytest

from permission_mongo.errors import InvalidRequest
from permission_mongo.parsing.ids import Fresh
from permission_mongo.parsing.once import read_once
from permission_mongo.principal import Principal

REQUEST = (b"POST", b"/notes", b"", b"", b"{}")


def a_principal(**change) -> Principal:
    about = {"subject": "alice", "tenant": "acme", "roles": frozenset({"user", "viewer"}), "claims": {"sub": "alice"}}
    return Principal(**{**about, "kind": "token", **change})


def once(keys=(b"k",), request=REQUEST, **change):
    return read_once(list(keys), a_principal(**change), request, Fresh())


def test_the_same_request_has_the_same_fingerprint_and_each_attempt_its_own_run():
    first, second = once(), once()
    assert first.fingerprint == second.fingerprint
    assert first.run != second.run
    assert (first.namespace, first.tenant, first.kind, first.subject, first.key) == (
        "default",
        "acme",
        "token",
        "alice",
        "k",
    )


@pytest.mark.parametrize("place", range(len(REQUEST)))
def test_another_part_of_the_request_is_another_fingerprint(place):
    other = tuple(part + b"x" if n == place else part for n, part in enumerate(REQUEST))
    assert once(request=other).fingerprint != once().fingerprint


def test_what_moves_from_one_part_to_the_next_is_another_fingerprint():
    assert once(request=(b"ab", b"c")).fingerprint != once(request=(b"a", b"bc")).fingerprint


@pytest.mark.parametrize("change", [{"roles": frozenset({"user"})}, {"claims": {"sub": "alice", "team": 1}}])
def test_other_roles_and_claims_are_another_fingerprint(change):
    assert once(**change).fingerprint != once().fingerprint


def test_a_renewed_token_has_the_same_fingerprint():
    renewed = {"sub": "alice", "exp": 2, "iat": 1, "nbf": 1, "jti": "n"}
    assert once(claims=renewed).fingerprint == once().fingerprint


def test_the_order_of_claims_does_not_count():
    assert once(claims={"a": 1, "b": 2}).fingerprint == once(claims={"b": 2, "a": 1}).fingerprint


def test_claims_nested_without_end_are_refused():
    deep: list = []
    for _ in range(5000):
        deep = [deep]
    with pytest.raises(InvalidRequest):
        once(claims={"deep": deep})


@pytest.mark.parametrize("keys", [(b"",), (b"a b",), (b"\xe9",), (b"x" * 256,), (b"a\n",), (b"a", b"a"), (b"a", b"b")])
def test_a_key_is_one_of_visible_ascii(keys):
    with pytest.raises(InvalidRequest):
        once(keys)


def test_no_fingerprint_is_shown():
    assert "fingerprint" not in repr(once())
