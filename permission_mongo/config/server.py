"""config.yaml: the server, its database, its credentials and its limits."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path
from typing import Final

from permission_mongo.addresses import Network, fault_of_url
from permission_mongo.config.blobs import read_blobs
from permission_mongo.config.doors import read_doors
from permission_mongo.config.go_names import check_go_audit, go_secret, ignore_go_keys, with_go_limits
from permission_mongo.config.model import (
    FAMILIES,
    Audit,
    Auth,
    Blobs,
    Console,
    Logging,
    Metrics,
    MongoDB,
    OpenApi,
    Server,
    Tracing,
)
from permission_mongo.config.receivers import audit_receiver
from permission_mongo.config.section import Section, suggestion
from permission_mongo.hooks import Receiver
from permission_mongo.principal import DEFAULT_NAMESPACE
from permission_mongo.query.limits import Limits, Rate

_LEAST_HEAD: Final = 2**10
_MOST_HEAD: Final = 2**20
_MOST_BY_ONE_COMMAND: Final = 40 * 2**20
_DATABASE: Final = re.compile(r"[A-Za-z0-9_-]{1,63}")
_NAMESPACE: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
SHORTEST_SECRET = 32  # RFC 7518, section 3.2: an HS256 key has at least the size of its hash
MOST_PREVIOUS_SECRETS: Final = 8


@dataclass(frozen=True, slots=True)
class Settings:
    """What config.yaml says."""

    server: Server
    mongodb: MongoDB
    auth: Auth
    limits: Limits
    audit: Audit
    metrics: Metrics
    logging: Logging
    console: Console
    tracing: Tracing
    openapi: OpenApi
    allowed: tuple[Network, ...]
    namespaces: Mapping[str, str]
    doors: tuple[str, ...]
    blobs: Blobs


def read_settings(root: Section, folder: Path, environment: Mapping[str, str]) -> Settings:
    root.text("version")
    ignore_go_keys(root, "")
    mongodb = _mongodb(root.section("mongodb"), environment)
    settings = Settings(
        _server(root.section("server"), environment),
        mongodb,
        _auth(root.section("auth"), folder),
        _limits(with_go_limits(root)),
        _audit(root.section("audit")),
        _metrics(root.section("metrics")),
        _logging(root.section("logging")),
        _console(root.section("console")),
        _tracing(root.section("tracing")),
        _openapi(root.section("openapi")),
        _allowed(root.section("hooks")),
        _namespaces(root.section("namespaces"), mongodb.database),
        read_doors(root),
        read_blobs(root.section("blobs"), environment),
    )
    root.done()
    return settings


def _server(section: Section, environment: Mapping[str, str]) -> Server:
    ignore_go_keys(section, "server")
    secret = section.optional_text("secret")
    if secret is not None and len(secret.encode()) < SHORTEST_SECRET:
        section.wrong("secret", f"'server.secret' needs at least {SHORTEST_SECRET} bytes", code="weak-secret")
    server = Server(
        host=environment.get("SERVER_HOST") or section.text("host", "127.0.0.1"),
        port=_port(section, environment),
        workers=section.integer("workers", 1, 1, 256),
        header_timeout=section.seconds("header_timeout", 10.0),
        body_timeout=section.seconds("body_timeout", 15.0),
        write_timeout=section.seconds("write_timeout", 30.0),
        keep_alive_timeout=section.seconds("keep_alive_timeout", 5.0),
        shutdown_timeout=section.seconds("shutdown_timeout", 10.0),
        max_connections=section.integer("max_connections", 2000, 1, 1_000_000),
        max_header_bytes=section.bytes("max_header_bytes", 16 * 2**10),
        trusted_proxies=_networks(section, "trusted_proxies"),
        secret=secret,
        previous_secrets=_previous_secrets(section, secret),
    )
    if not _LEAST_HEAD <= server.max_header_bytes <= _MOST_HEAD:
        section.wrong("max_header_bytes", "'server.max_header_bytes' is from 1 KiB to 1 MiB")
    for name in ("header_timeout", "body_timeout", "write_timeout"):
        if getattr(server, name) <= 0:
            section.wrong(name, f"'server.{name}' is longer than nothing")
    section.done(["host", "port"])
    return server


def _previous_secrets(section: Section, secret: str | None) -> tuple[str, ...]:
    found: list[str] = []
    for text, mark in section.texts("previous_secrets"):
        if len(text.encode()) < SHORTEST_SECRET:
            told = f"'server.previous_secrets': each needs at least {SHORTEST_SECRET} bytes"
            section.findings.append(mark.finding(told, code="weak-secret"))
        elif text in (secret, *found):
            section.findings.append(mark.finding("'server.previous_secrets': this secret is given twice"))
        found.append(text)
    if found and secret is None:
        section.wrong("previous_secrets", "'server.previous_secrets' stands without the present one, 'server.secret'")
    if len(found) > MOST_PREVIOUS_SECRETS:
        # Each is tried for every cursor and tag that is not ours.
        section.wrong("previous_secrets", f"'server.previous_secrets' holds at most {MOST_PREVIOUS_SECRETS}")
    return tuple(found)


def _port(section: Section, environment: Mapping[str, str]) -> int:
    written = section.integer("port", 8080, 0, 65535)
    given = environment.get("SERVER_PORT", "")
    if given and not (given.isdigit() and int(given) <= 65535):
        section.wrong("port", f"SERVER_PORT is {given!r}; expected a port from 0 to 65535")
        return written
    return int(given) if given else written


def _mongodb(section: Section, environment: Mapping[str, str]) -> MongoDB:
    uri = environment.get("MONGODB_URI") or section.text("uri", "embedded")
    if not uri.startswith(("embedded", "mongodb://", "mongodb+srv://")):
        section.wrong("uri", "'mongodb.uri' is 'embedded', 'embedded://DIR' or an address that begins with mongodb://")
    section.choice("write_concern", "majority", ["majority"])
    found = MongoDB(
        uri=uri,
        database=environment.get("MONGODB_DATABASE") or section.text("database", "permission_mongo"),
        max_pool_size=section.integer("max_pool_size", 64, 1, 1000),
        min_pool_size=section.integer("min_pool_size", 4, 0, 1000),
        server_selection_timeout=section.seconds("server_selection_timeout", 5.0),
        connect_timeout=section.seconds("connect_timeout", 1.5),
    )
    if not _can_hold_documents(found.database):
        section.wrong("database", f"'{found.database}' can't be the database of documents")
    section.done(["uri", "database"])
    return found


def _can_hold_documents(database: str) -> bool:
    return bool(_DATABASE.fullmatch(database)) and database not in ("admin", "local", "config")


def _namespaces(section: Section, default: str) -> Mapping[str, str]:
    """The database of each, and of each its own: what belongs to one is found in no other."""
    databases: dict[str, str] = {}
    taken = {default.lower(): DEFAULT_NAMESPACE}
    for name, own in section.sections():
        database = own.text("database")
        own.done()
        if name == DEFAULT_NAMESPACE or not _NAMESPACE.fullmatch(name):
            section.wrong(name, f"'{name}': a namespace is 1 to 64 of a-z, A-Z, 0-9, '_' and '-', and not 'default'")
        elif not _can_hold_documents(database):
            own.wrong("database", f"'{database}' can't be the database of documents")
        elif database.lower() in taken:  # MongoDB takes no two databases that differ by case alone
            own.wrong("database", f"'{database}' is the database of the namespace '{taken[database.lower()]}'")
        databases[name] = database
        taken[database.lower()] = name
    return databases


def _auth(section: Section, folder: Path) -> Auth:
    section.unavailable("jwks_url")
    ignore_go_keys(section, "auth")
    claims = section.section("claims")
    of_go = go_secret(section)
    secret = section.optional_text("secret") or of_go
    auth = Auth(
        algorithms=_algorithms(section),
        secret=secret,
        public_key=_public_key(section, folder),
        jwks_file=_file(section, "jwks_file", folder),
        issuer=section.optional_text("issuer"),
        audience=section.optional_text("audience"),
        leeway=section.seconds("leeway", 30.0),
        user_claim=claims.text("user", "sub"),
        tenant_claim=claims.text("tenant", "tenant_id"),
        roles_claim=claims.text("roles", "roles"),
        namespaces_claim=claims.text("namespaces", "namespaces"),
        api_keys=section.boolean("api_keys", True),
    )
    claims.done()
    section.done()
    _check_keys(section, auth)
    return auth


def _algorithms(section: Section) -> tuple[str, ...]:
    names: list[str] = []
    for name, mark in section.texts("algorithm"):
        if name not in FAMILIES:
            known = suggestion(name, FAMILIES) or f"; known: {', '.join(FAMILIES)}"
            section.findings.append(mark.finding(f"unknown algorithm '{name}'{known}", code="not-one-of"))
        elif names and FAMILIES[name] != FAMILIES[names[0]]:
            section.findings.append(
                mark.finding(f"'{name}' and '{names[0]}' are of two families; a key must never serve both")
            )
        else:
            names.append(name)
    return tuple(names) or ("HS256",)


def _public_key(section: Section, folder: Path) -> str | None:
    path = _file(section, "public_key_file", folder)
    inline = section.optional_text("public_key")
    return path.read_text() if path is not None else inline


def _file(section: Section, key: str, folder: Path) -> Path | None:
    name = section.optional_text(key)
    if name is None:
        return None
    path = folder / name
    if not path.is_file():
        section.wrong(key, f"there is no file {name} (looked from the folder of config.yaml)", code="file")
        return None
    return path


def _check_keys(section: Section, auth: Auth) -> None:
    asymmetric = auth.public_key is not None or auth.jwks_file is not None
    if auth.family == "HMAC" and asymmetric:
        section.wrong("algorithm", f"'{auth.algorithms[0]}' takes 'auth.secret', not a public key")
    if auth.family != "HMAC" and (auth.secret is not None or not asymmetric):
        section.wrong("algorithm", f"'{auth.algorithms[0]}' takes 'public_key', 'public_key_file' or 'jwks_file'")
    if auth.secret is not None and len(auth.secret.encode()) < SHORTEST_SECRET:
        key = "secret" if section.has("secret") else "jwt_secret"
        section.wrong(key, f"'auth.{key}' needs at least {SHORTEST_SECRET} bytes", code="weak-secret")


def _limits(section: Section) -> Limits:
    limits = Limits(
        max_batch_size=section.integer("max_batch_size", 1000, 1, 10_000),
        max_result_size=section.integer("max_result_size", 10_000, 1, 100_000),
        max_aggregation_stages=section.integer("max_aggregation_stages", 20, 1, 100),
        max_result_bytes=section.bytes("max_result_bytes", 16 * 2**20),
        max_bytes_in_flight=section.bytes("max_bytes_in_flight", 64 * 2**20),
        max_body_bytes=section.bytes("max_body_bytes", 16 * 2**20),
        max_document_bytes=section.bytes("max_document_bytes", 15 * 2**20),
        max_transaction_bytes=section.bytes("max_transaction_bytes", 16 * 2**20),
        max_filter_depth=section.integer("max_filter_depth", 8, 1, 32),
        max_filter_clauses=section.integer("max_filter_clauses", 200, 1, 10_000),
        max_in_values=section.integer("max_in_values", 10_000, 1, 100_000),
        max_regex_length=section.integer("max_regex_length", 128, 1, 1000),
        max_blob_bytes=section.bytes("max_blob_bytes", 100 * 2**20),
        query_timeout=section.seconds("query_timeout", 10.0),
        job_lease=section.seconds("job_lease", 15.0),
        max_subordinates=section.integer("max_subordinates", 10_000, 1, 100_000),
        hierarchy_cache=section.seconds("hierarchy_cache", 5.0),
        rate=_rate(section),
    )
    if limits.max_document_bytes > 16 * 2**20 - 64 * 2**10:
        # A version wraps the document, and MongoDB takes no record above 16 MiB.
        section.wrong("max_document_bytes", "'limits.max_document_bytes' is at most 16 MiB - 64 KiB")
    for name in ("max_body_bytes", "max_transaction_bytes"):
        if getattr(limits, name) > _MOST_BY_ONE_COMMAND:
            # What is written of a transaction goes out as one command, of which MongoDB takes 48 MB.
            section.wrong(name, f"'limits.{name}' is at most 40 MiB")
    section.done()
    return limits


def _rate(limits: Section) -> Rate | None:
    section = limits.section("rate")
    rate = Rate(
        section.optional_rate("per_principal"),
        section.optional_rate("per_address"),
        section.seconds("burst", 10.0),
    )
    section.done()
    if not section.node.entries:
        return None
    largest = limits.integer("max_batch_size", 1000)
    for name in ("per_principal", "per_address"):
        each = getattr(rate, name)
        if each is not None and each * rate.burst < 1:
            section.wrong(name, f"'limits.rate.{name}' with this 'burst' never lets a request through")
        elif each is not None and each * rate.burst < largest:
            told = f"lets at most {int(each * rate.burst)} items through at once, and no batch of 'max_batch_size'"
            section.wrong(name, f"'limits.rate.{name}' {told} ({largest})", warning=True)
    if not (section.has("per_principal") or section.has("per_address")):
        limits.wrong("rate", "'limits.rate' names neither 'per_principal' nor 'per_address'")
    return rate


def _audit(section: Section) -> Audit:
    check_go_audit(section)
    audit = Audit(
        enabled=section.boolean("enabled", True),
        ttl=section.optional_seconds("ttl"),
        seal=section.boolean("seal", True),
        log_reads=section.boolean("log_reads", False),
        include_changes=section.boolean("include_changes", True),
        receiver=_told_of_audit(section),
    )
    section.done()
    return audit


def _told_of_audit(section: Section) -> Receiver | None:
    sink = section.choice("sink", "mongodb", ["mongodb", "webhook", "both"])
    webhook = section.section("webhook")
    if sink == "webhook":
        message = "an entry in MongoDB is what proves a transaction: use 'both', with 'audit.ttl'"
        section.wrong("sink", f"'audit.sink: webhook' alone is not available; {message}", code="not-available")
    if sink == "mongodb" and section.has("webhook"):
        section.wrong("webhook", "'audit.webhook' is told of nothing: 'audit.sink' is not 'both'")
    return audit_receiver(webhook) if sink != "mongodb" or section.has("webhook") else None


def _metrics(section: Section) -> Metrics:
    metrics = Metrics(
        section.optional_integer("port", 1, 65535),
        section.boolean("public", False),
        section.boolean("commands", Metrics().commands),
    )
    section.done()
    return metrics


def _console(section: Section) -> Console:
    console = Console(section.boolean("enabled", Console().enabled), section.boolean("write", Console().write))
    section.done()
    return console


def _openapi(section: Section) -> OpenApi:
    openapi = OpenApi(section.boolean("public", False))
    section.done()
    return openapi


def _logging(section: Section) -> Logging:
    levels = ["debug", "info", "warning", "error"]
    logging = Logging(
        section.choice("format", "auto", ["json", "console", "auto"]),
        section.choice("level", "info", levels),
        section.choice("requests", "writes", ["all", "writes", "errors", "none"]),
        section.seconds("slow_requests", 1.0),
    )
    section.done()
    return logging


def _tracing(section: Section) -> Tracing:
    endpoint, ratio = section.optional_text("otlp_endpoint"), section.optional_number("sample_ratio")
    fault = None if endpoint is None else fault_of_url(endpoint)
    if fault is not None:
        fault = fault.replace("'headers'", "the variable OTEL_EXPORTER_OTLP_HEADERS")
        section.wrong("otlp_endpoint", f"'tracing.otlp_endpoint' {fault}")
    if ratio is not None and not 0 <= ratio <= 1:
        section.wrong("sample_ratio", "'tracing.sample_ratio' is a number from 0 to 1")
    section.done()
    return Tracing(endpoint, Tracing().sample_ratio if ratio is None else float(ratio))


def _allowed(section: Section) -> tuple[Network, ...]:
    """`hooks.allow_addresses` of config.yaml."""
    networks = _networks(section, "allow_addresses")
    section.done()
    return networks


def _networks(section: Section, key: str) -> tuple[Network, ...]:
    networks: list[Network] = []
    for text, mark in section.texts(key):
        try:
            networks.append(ip_network(text))
        except ValueError:
            section.findings.append(mark.finding(f"'{text}' is no address or network such as 10.1.0.0/16"))
    return tuple(networks)
