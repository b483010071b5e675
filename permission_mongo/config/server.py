"""config.yaml: the server, its database, its credentials and its limits."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path
from typing import Final

from permission_mongo.addresses import Network
from permission_mongo.config.go_names import check_go_audit, go_secret, ignore_go_keys, with_go_limits
from permission_mongo.config.model import FAMILIES, Audit, Auth, Console, Logging, Metrics, MongoDB, Server
from permission_mongo.config.receivers import audit_receiver
from permission_mongo.config.section import Section, suggestion
from permission_mongo.hooks import Receiver
from permission_mongo.principal import DEFAULT_NAMESPACE
from permission_mongo.query.limits import Limits

_MOST_BY_ONE_COMMAND: Final = 40 * 2**20
_DATABASE: Final = re.compile(r"[A-Za-z0-9_-]{1,63}")
_NAMESPACE: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
SHORTEST_SECRET = 32  # RFC 7518, section 3.2: an HS256 key has at least the size of its hash


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
    allowed: tuple[Network, ...]
    namespaces: Mapping[str, str]


def read_settings(root: Section, folder: Path, environment: Mapping[str, str]) -> Settings:
    root.text("version")
    ignore_go_keys(root, "")
    root.unavailable("doors", "blobs", "tracing", "openapi")
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
        _allowed(root.section("hooks")),
        _namespaces(root.section("namespaces"), mongodb.database),
    )
    root.done()
    return settings


def _server(section: Section, environment: Mapping[str, str]) -> Server:
    section.unavailable("header_timeout", "previous_secrets")
    ignore_go_keys(section, "server")
    secret = section.optional_text("secret")
    if secret is not None and len(secret.encode()) < SHORTEST_SECRET:
        section.wrong("secret", f"'server.secret' needs at least {SHORTEST_SECRET} bytes", code="weak-secret")
    server = Server(
        host=environment.get("SERVER_HOST") or section.text("host", "127.0.0.1"),
        port=_port(section, environment),
        workers=section.integer("workers", 1, 1, 256),
        body_timeout=section.seconds("body_timeout", 15.0),
        shutdown_timeout=section.seconds("shutdown_timeout", 10.0),
        secret=secret,
    )
    section.done(["host", "port"])
    return server


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
    section.unavailable("rate")
    limits = Limits(
        max_batch_size=section.integer("max_batch_size", 1000, 1, 10_000),
        max_result_size=section.integer("max_result_size", 10_000, 1, 100_000),
        max_aggregation_stages=section.integer("max_aggregation_stages", 20, 1, 100),
        max_result_bytes=section.bytes("max_result_bytes", 16 * 2**20),
        max_body_bytes=section.bytes("max_body_bytes", 16 * 2**20),
        max_document_bytes=section.bytes("max_document_bytes", 15 * 2**20),
        max_transaction_bytes=section.bytes("max_transaction_bytes", 16 * 2**20),
        max_filter_depth=section.integer("max_filter_depth", 8, 1, 32),
        max_filter_clauses=section.integer("max_filter_clauses", 200, 1, 10_000),
        max_in_values=section.integer("max_in_values", 10_000, 1, 100_000),
        max_regex_length=section.integer("max_regex_length", 128, 1, 1000),
        query_timeout=section.seconds("query_timeout", 10.0),
        job_lease=section.seconds("job_lease", 15.0),
        max_subordinates=section.integer("max_subordinates", 10_000, 1, 100_000),
        hierarchy_cache=section.seconds("hierarchy_cache", 5.0),
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
    metrics = Metrics(section.optional_integer("port", 1, 65535), section.boolean("public", False))
    section.done()
    return metrics


def _console(section: Section) -> Console:
    section.unavailable("enabled")
    console = Console(section.boolean("write", False))
    section.done()
    return console


def _logging(section: Section) -> Logging:
    levels = ["debug", "info", "warning", "error"]
    logging = Logging(
        section.choice("format", "auto", ["json", "console", "auto"]), section.choice("level", "info", levels)
    )
    section.done()
    return logging


def _allowed(section: Section) -> tuple[Network, ...]:
    """`hooks.allow_addresses` of config.yaml."""
    networks: list[Network] = []
    for text, mark in section.texts("allow_addresses"):
        try:
            networks.append(ip_network(text))
        except ValueError:
            section.findings.append(mark.finding(f"'{text}' is no address or network such as 10.1.0.0/16"))
    section.done()
    return tuple(networks)
