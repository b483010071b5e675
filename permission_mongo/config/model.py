"""The whole configuration, as the rooms below read it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from permission_mongo.addresses import Network
from permission_mongo.config.cases import PolicyTests
from permission_mongo.errors import Finding
from permission_mongo.hooks import NO_HOOKS, Hooks, Receiver
from permission_mongo.policy.grants import Policy
from permission_mongo.principal import DEFAULT_NAMESPACE
from permission_mongo.query.limits import Limits
from permission_mongo.schema.model import Collection

FAMILIES: Mapping[str, str] = {
    **{f"HS{bits}": "HMAC" for bits in (256, 384, 512)},
    **{f"RS{bits}": "RSA" for bits in (256, 384, 512)},
    "PS256": "RSA",
    "ES256": "EC",
    "EdDSA": "OKP",
}


@dataclass(frozen=True, slots=True)
class Server:
    """Times in seconds. `secret` is None where the gateway makes and keeps one.

    Of `trusted_proxies` alone it is believed whom they speak for. `max_connections` are those of one process.
    What one of the `previous_secrets` signed still counts.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    workers: int = 1
    header_timeout: float = 10.0
    body_timeout: float = 15.0
    write_timeout: float = 30.0
    keep_alive_timeout: float = 5.0
    shutdown_timeout: float = 10.0
    max_connections: int = 2000
    max_header_bytes: int = 16 * 2**10
    trusted_proxies: tuple[Network, ...] = ()
    secret: str | None = field(default=None, repr=False)
    previous_secrets: tuple[str, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class MongoDB:
    """`uri` starts with `embedded` for a server of the gateway's own. Times in seconds."""

    uri: str = field(default="embedded", repr=False)
    database: str = "permission_mongo"
    max_pool_size: int = 64
    min_pool_size: int = 4
    server_selection_timeout: float = 5.0
    connect_timeout: float = 1.5

    @property
    def is_embedded(self) -> bool:
        return self.uri == "embedded" or self.uri.startswith("embedded://")

    @property
    def folder(self) -> Path:
        """Where the embedded server keeps its data; below the working directory unless the address names it."""
        return Path(self.uri.removeprefix("embedded://") if "://" in self.uri else ".permission-mongo")


@dataclass(frozen=True, slots=True)
class Auth:
    """How credentials are read. One family of algorithms; `secret` for HMAC, keys or a JWKS file for the others."""

    algorithms: tuple[str, ...] = ("HS256",)
    secret: str | None = field(default=None, repr=False)
    public_key: str | None = field(default=None, repr=False)
    jwks_file: Path | None = None
    issuer: str | None = None
    audience: str | None = None
    leeway: float = 30.0
    user_claim: str = "sub"
    tenant_claim: str = "tenant_id"
    roles_claim: str = "roles"
    namespaces_claim: str = "namespaces"
    api_keys: bool = True

    @property
    def family(self) -> str:
        return FAMILIES[self.algorithms[0]]


@dataclass(frozen=True, slots=True)
class Audit:
    """`seal`: entries are made tamper-evident; `log_reads`: reads are noted; `include_changes`: changed paths are.

    A `receiver` is told of each entry as well.
    """

    enabled: bool = True
    ttl: float | None = None  # seconds
    seal: bool = True
    log_reads: bool = False
    include_changes: bool = True
    receiver: Receiver | None = None


@dataclass(frozen=True, slots=True)
class Metrics:
    """`commands`: the time of each of MongoDB's commands is measured, where the metrics can be read at all."""

    port: int | None = None
    public: bool = False
    commands: bool = True

    @property
    def times_commands(self) -> bool:
        return self.commands and (self.public or self.port is not None)


@dataclass(frozen=True, slots=True)
class Logging:
    """`requests`: those that have a line, and beside them those that took as long as `slow_requests`, in seconds."""

    format: str = "auto"  # json, console; auto is console on a terminal
    level: str = "info"
    requests: str = "writes"  # all, writes (and what was refused or failed), errors (the latter), none
    slow_requests: float = 1.0


@dataclass(frozen=True, slots=True)
class Tracing:
    """`sample_ratio` of all requests is traced, and sent to `otlp_endpoint`; nothing is where that is None."""

    otlp_endpoint: str | None = None
    sample_ratio: float = 0.1


@dataclass(frozen=True, slots=True)
class Console:
    """`enabled`: the console's page is served. `write`: policy.yml may be written by a request."""

    enabled: bool = True
    write: bool = False


@dataclass(frozen=True, slots=True)
class S3Store:
    """A bucket of an S3-compatible store; `endpoint` None is that of the region at AWS."""

    bucket: str
    endpoint: str | None
    region: str
    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    path_style: bool = False


@dataclass(frozen=True, slots=True)
class Blobs:
    """Where bytes are kept, in GridFS where `s3` is None. In seconds: how long a URL is good, and how long bytes stay
    that nothing names, for their write may be under way.
    """

    SHORTEST_GRACE: ClassVar[float] = 3600.0

    url_ttl: float = 900.0
    grace: float = 86_400.0
    s3: S3Store | None = None


@dataclass(frozen=True, slots=True)
class OpenApi:
    """`public`: who shows no credential is described all collections, actions and fields."""

    public: bool = False


@dataclass(frozen=True, slots=True)
class FileText:
    """A file as it was read, and the SHA-256 of its bytes."""

    text: str = field(repr=False)
    sha256: str


@dataclass(frozen=True, slots=True)
class Config:
    """One loaded and checked configuration.

    `digest` is the SHA-256 of its files' contents, `schema_digest` begins that of the schema, `policy_digest` that of
    schema and policy. `tests` are the policy's own, None without a file of them: `trials` runs them before it serves.
    `written` are schema.yml and policy.yml as they were read, by the names of the files. `namespaces` tells the
    database of each beside the default one, whose database is that of `mongodb`. `remembered` is planning's, by the
    names of collections: what it made of them.
    """

    collections: Mapping[str, Collection]
    policy: Policy
    server: Server = Server()
    mongodb: MongoDB = MongoDB()
    auth: Auth = Auth()
    limits: Limits = field(default_factory=Limits)
    audit: Audit = Audit()
    metrics: Metrics = Metrics()
    logging: Logging = Logging()
    warnings: tuple[Finding, ...] = ()
    digest: str = ""
    schema_digest: str = ""
    policy_digest: str = ""
    tests: PolicyTests | None = None
    written: Mapping[str, FileText] = field(default_factory=dict, repr=False)
    folder: Path | None = None
    console: Console = Console()
    tracing: Tracing = Tracing()
    openapi: OpenApi = OpenApi()
    hooks: Mapping[str, Hooks] = field(default_factory=dict)
    allowed: tuple[Network, ...] = ()  # addresses that may be called beside those of the open internet
    namespaces: Mapping[str, str] = field(default_factory=dict)
    doors: tuple[str, ...] = ()  # other APIs whose callers are let in
    blobs: Blobs = Blobs()
    remembered: dict[str, tuple[object, object]] = field(default_factory=dict, init=False, compare=False, repr=False)

    def database(self, namespace: str) -> str:
        """KeyError for a namespace that is not declared."""
        return self.mongodb.database if namespace == DEFAULT_NAMESPACE else self.namespaces[namespace]

    def hooks_of(self, collection: str) -> Hooks:
        return self.hooks.get(collection, NO_HOOKS)

    def receivers(self) -> Mapping[str, Receiver]:
        """Who is told of writes, by name."""
        of_audit = [self.audit.receiver] if self.audit.enabled and self.audit.receiver is not None else []
        posts = [one for hooks in self.hooks.values() for posts in hooks.post.values() for one in posts]
        return {one.name: one for one in (*posts, *of_audit)}
