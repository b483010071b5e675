"""Tokens: what is taken, and every way that is known to get around a check."""

import base64
import hashlib
import hmac
import json
import time

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from permission_mongo.auth.development import development_secret, make_token
from permission_mongo.auth.tokens import MOST_REMEMBERED, TokenVerifier
from permission_mongo.config.model import Auth
from permission_mongo.errors import StartupFailure, Unauthenticated

SECRET = "0123456789abcdef0123456789abcdef"
RSA, OTHER_RSA = (rsa.generate_private_key(65537, 2048) for _ in range(2))
EC, ED = ec.generate_private_key(ec.SECP256R1()), ed25519.Ed25519PrivateKey.generate()


def pem(key) -> str:
    return (
        key.public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        .decode()
    )


def jwk(key, algorithm: str, kid: str | None, **more) -> dict:
    made = jwt.get_algorithm_by_name(algorithm).to_jwk(key.public_key(), as_dict=True)
    return {**made, **({"kid": kid} if kid else {}), **more}


def claims(**changed) -> dict:
    found = {"sub": "alice", "tenant_id": "acme", "roles": ["user"], "exp": int(time.time()) + 600, **changed}
    return {name: value for name, value in found.items() if value is not ...}


def a_token(key=SECRET, algorithm="HS256", headers=None, **changed) -> str:
    return jwt.encode(claims(**changed), key, algorithm=algorithm, headers=headers)


def forged(header: dict, payload: dict, secret: bytes = b"") -> str:
    def part(value: dict) -> bytes:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=")

    text = part(header) + b"." + part(payload)
    signature = base64.urlsafe_b64encode(hmac.new(secret, text, hashlib.sha256).digest()).rstrip(b"=")
    return (text + b"." + (signature if secret else b"")).decode()


def a_verifier(clock=time.time, **changed) -> TokenVerifier:
    return TokenVerifier(Auth(**{"secret": SECRET, **changed}), clock)


def refused(verifier: TokenVerifier, token: str) -> str:
    with pytest.raises(Unauthenticated) as caught:
        verifier.verify(token)
    return str(caught.value)


def test_a_good_token_gives_its_principal():
    principal = a_verifier().verify(a_token(region="eu"))
    assert (principal.subject, principal.tenant, principal.roles) == ("alice", "acme", frozenset({"user"}))
    assert principal.claims["region"] == "eu"
    assert "eu" not in repr(principal)


@pytest.mark.parametrize(
    ("algorithm", "key"),
    [("RS256", RSA), ("RS384", RSA), ("RS512", RSA), ("PS256", RSA), ("ES256", EC), ("EdDSA", ED)],
)
def test_every_listed_asymmetric_algorithm_verifies(algorithm, key):
    verifier = TokenVerifier(Auth((algorithm,), public_key=pem(key)))
    assert verifier.verify(a_token(key, algorithm)).subject == "alice"
    assert refused(verifier, a_token(OTHER_RSA, "RS256"))


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
def test_every_listed_shared_secret_algorithm_verifies(algorithm):
    long = SECRET * 2
    assert TokenVerifier(Auth((algorithm,), long)).verify(a_token(long, algorithm)).subject == "alice"


def test_t1_no_algorithm_and_families_mixed_are_refused():
    assert refused(a_verifier(), forged({"alg": "none", "typ": "JWT"}, claims()))
    assert refused(a_verifier(), forged({"alg": "None"}, claims()))
    assert refused(a_verifier(), a_token(SECRET * 2, "HS512"))
    public = pem(RSA)
    verifier = TokenVerifier(Auth(("RS256",), public_key=public))
    assert refused(verifier, forged({"alg": "HS256"}, claims(), public.encode()))
    assert refused(verifier, forged({"alg": "RS256"}, claims(), public.encode()))


@pytest.mark.parametrize(
    "kid", ["../../dev/null", "' OR 1=1 --", "x" * 10_000, "unknown", "http://evil/", 5, None, ["a"]]
)
def test_t2_a_kid_is_matched_exactly_and_never_followed(tmp_path, kid):
    file = tmp_path / "jwks.json"
    file.write_text(json.dumps({"keys": [jwk(RSA, "RS256", "one"), jwk(OTHER_RSA, "RS256", "two")]}))
    verifier = TokenVerifier(Auth(("RS256",), jwks_file=file))
    header = {"alg": "RS256", "kid": kid, "jku": "http://127.0.0.1:1/", "x5u": "http://127.0.0.1:1/"}
    good = a_token(RSA, "RS256", {"kid": "one"}).split(".")
    head = base64.urlsafe_b64encode(json.dumps(header).encode()).rstrip(b"=").decode()
    assert refused(verifier, ".".join([head, *good[1:]]))


@pytest.mark.parametrize(
    "exp", [..., "soon", None, [1], {"a": 1}, float("nan"), 1, pytest.param(int(time.time()) - 31, id="past"), "1e400"]
)
def test_t3_a_token_without_a_future_expiry_is_refused(exp):
    assert refused(a_verifier(), forged({"alg": "HS256"}, claims(exp=exp), SECRET.encode()))


def test_t3_not_before_audience_and_issuer_count():
    later = int(time.time()) + 300
    assert refused(a_verifier(), a_token(nbf=later))
    verifier = a_verifier(issuer="us", audience="gateway")
    assert verifier.verify(a_token(iss="us", aud="gateway")).subject == "alice"
    for changed in (
        {"iss": "us"},
        {"aud": "gateway"},
        {"iss": "us", "aud": "other"},
        {"iss": "them", "aud": "gateway"},
    ):
        assert refused(verifier, a_token(**changed))


def test_t4_critical_extensions_encrypted_malformed_and_huge_tokens_are_refused():
    assert refused(a_verifier(), a_token(headers={"crit": ["exp"], "exp": 1}))
    for text in ("", ".", "..", "a.b", "a.b.c.d.e", "a.b.c", "é.b.c", "\ud800.b.c", "x" * 100_000, a_token() + "x"):
        assert refused(a_verifier(), text)
    assert refused(a_verifier(), a_token(padding="x" * 10_000))


def test_t5_a_rotated_key_counts_within_a_second_and_a_removed_one_not_longer(tmp_path):
    file, now = tmp_path / "jwks.json", [time.time()]
    first, second = jwk(RSA, "RS256", "one"), jwk(OTHER_RSA, "RS256", "two")
    file.write_text(json.dumps({"keys": [first]}))
    verifier = TokenVerifier(Auth(("RS256",), jwks_file=file), lambda: now[0])
    old, new = a_token(RSA, "RS256", {"kid": "one"}), a_token(OTHER_RSA, "RS256", {"kid": "two"})
    assert verifier.verify(old).subject == "alice"
    assert refused(verifier, new)
    file.write_text(json.dumps({"keys": [first, second]}))
    now[0] += 1.1
    assert verifier.verify(new).subject == verifier.verify(old).subject
    file.write_text(json.dumps({"keys": [second]}) + " ")
    now[0] += 1.1
    assert refused(verifier, old), "remembered tokens of a removed key are dropped"
    assert verifier.verify(new).subject == "alice"
    file.write_text("{broken")
    now[0] += 1.1
    assert verifier.verify(new).subject == "alice", "a broken file leaves the keys in force"


@pytest.mark.parametrize(
    "keys",
    [
        [{"kty": "oct", "k": "AAAA", "kid": "a"}],
        [jwk(RSA, "RS256", None), jwk(OTHER_RSA, "RS256", None)],
        [jwk(RSA, "RS256", "a"), jwk(OTHER_RSA, "RS256", "a")],
        [jwk(RSA, "RS256", "a", d="AAAA")],
        ["text"],
    ],
)
def test_a_key_set_that_could_be_misread_is_refused_at_start(tmp_path, keys):
    file = tmp_path / "jwks.json"
    file.write_text(json.dumps({"keys": keys}))
    with pytest.raises(StartupFailure):
        TokenVerifier(Auth(("RS256",), jwks_file=file))


def test_a_key_meant_for_one_algorithm_serves_no_other(tmp_path):
    file = tmp_path / "jwks.json"
    file.write_text(json.dumps({"keys": [jwk(RSA, "RS256", "one", alg="RS256")]}))
    verifier = TokenVerifier(Auth(("RS256", "PS256"), jwks_file=file))
    assert verifier.verify(a_token(RSA, "RS256", {"kid": "one"})).subject == "alice"
    assert refused(verifier, a_token(RSA, "PS256", {"kid": "one"}))


@pytest.mark.parametrize(
    "changed",
    [{"sub": ...}, {"sub": ""}, {"sub": 5}, {"sub": "a\nb"}, {"sub": "x" * 257}, {"sub": {"$ne": None}}]
    + [{"tenant_id": ""}, {"tenant_id": {"$ne": None}}, {"tenant_id": ["acme"]}, {"tenant_id": "a\x00"}]
    + [{"roles": {"admin": True}}, {"roles": [{"$ne": None}]}, {"roles": 5}, {"roles": ["r"] * 257}],
)
def test_t7_an_identity_that_is_no_plain_text_is_refused(changed):
    assert refused(a_verifier(), forged({"alg": "HS256"}, claims(**changed), SECRET.encode()))


def test_claims_are_found_where_the_configuration_says():
    verifier = a_verifier(user_claim="https://us/id", tenant_claim="org.id", roles_claim="realm.roles")
    token = a_token(**{"https://us/id": "bob", "org": {"id": "acme"}, "realm": {"roles": "admin"}})
    principal = verifier.verify(token)
    assert (principal.subject, principal.tenant, principal.roles) == ("bob", "acme", frozenset({"admin"}))


def test_no_signature_is_checked_on_the_warm_path(monkeypatch):
    verifier, token, decoded = a_verifier(), a_token(), []
    monkeypatch.setattr(jwt, "decode", lambda *a, original=jwt.decode, **k: decoded.append(1) or original(*a, **k))
    first = verifier.verify(token)
    assert all(verifier.verify(token) is first for _ in range(100))
    assert decoded == [1]


def test_a_remembered_token_is_forgotten_when_it_expires():
    now = [time.time()]
    verifier = a_verifier(lambda: now[0])
    token = a_token(exp=int(now[0]) + 5)
    verifier.verify(token)
    now[0] += 5 + 30 + 1
    assert verifier._remembered
    known = next(iter(verifier._remembered.values()))
    assert known.expires < now[0], "so the signature and expiry are looked at again"


def test_what_is_remembered_is_bounded():
    verifier = a_verifier()
    verifier._remembered = dict.fromkeys((bytes([n % 256, n // 256]) for n in range(MOST_REMEMBERED)), None)
    verifier.verify(a_token())
    assert len(verifier._remembered) == MOST_REMEMBERED


def test_the_development_secret_is_made_once_for_the_owner_alone(tmp_path):
    secret = development_secret(tmp_path / "data")
    assert development_secret(tmp_path / "data") == secret
    assert len(secret) >= 43
    assert (tmp_path / "data" / "auth-secret").stat().st_mode & 0o777 == 0o600
    token = make_token(secret, "HS256", "alice", ["user"], int(time.time()) + 60, {"tenant_id": "acme"})
    assert TokenVerifier(Auth(secret=secret)).verify(token).tenant == "acme"


def test_without_a_secret_nothing_starts():
    with pytest.raises(StartupFailure, match=r"auth\.secret"):
        TokenVerifier(Auth())
