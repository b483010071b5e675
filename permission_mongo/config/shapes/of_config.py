"""config.yaml as JSON Schema."""

from __future__ import annotations

from permission_mongo.config.doors import SEGMENTS
from permission_mongo.config.go_names import IGNORED
from permission_mongo.config.model import FAMILIES, Auth, Logging, Metrics, MongoDB, Server
from permission_mongo.config.server import SHORTEST_SECRET
from permission_mongo.config.shapes.words import (
    Shape,
    boolean,
    choice,
    duration,
    entries,
    ignored,
    integer,
    number,
    rate,
    section,
    size,
    text,
    texts,
    whole,
)
from permission_mongo.query.limits import Limits

_LIMITS = Limits()
_ADDRESS = "`embedded`, `embedded://DIR` or a replica set's address; MONGODB_URI goes first."


def config_shape() -> Shape:
    return whole(
        "config.yaml of permission-mongo",
        {
            "version": text("Free text.", empty=True),
            "server": _server(),
            "mongodb": _mongodb(),
            "auth": _auth(),
            "limits": _limits(),
            "audit": _audit(),
            "metrics": _metrics(),
            "logging": _logging(),
            "tracing": section(
                "Traces, with the extra `tracing` installed.",
                {
                    "otlp_endpoint": text("A collector's address, OTLP over HTTP."),
                    "sample_ratio": number("Of all requests, from 0 to 1; 0.1 where it is left out."),
                },
            ),
            "hooks": section("What hooks may call.", {"allow_addresses": texts("Networks beside the open internet.")}),
            "namespaces": entries(
                "Databases that callers may choose beside the default one, by name.",
                section("", {"database": text("Of its own; it holds all that belongs to the namespace.")}),
                propertyNames={"pattern": "^[A-Za-z0-9_-]{1,64}$", "not": {"const": "default"}},
            ),
            "doors": texts("Other APIs whose callers are let in.", choice(SEGMENTS)),
            "blobs": _blobs(),
            "console": _console(),
            "openapi": section(
                "The description of the routes.",
                {"public": boolean("Whether all of it is shown without a credential.", False)},
            ),
            "scalability": section("Read as `limits`.", {key: _limits()["properties"][key] for key in _OF_GO}),
            **_ignored(""),
        },
    )


def _blobs() -> Shape:
    return section(
        "Where the bytes of fields of type blob are kept.",
        {
            "store": choice(["gridfs", "s3"], "In MongoDB, or in an S3-compatible store.", "gridfs"),
            "url_ttl": duration("How long a presigned URL is good; at most 7 days.", "15m"),
            "grace": duration("How long bytes stay that nothing names; at least 1h.", "24h"),
            "s3": section(
                "Of the store, with the extra `s3` installed.",
                {
                    "endpoint": text("Its address; that of AWS where it is left out."),
                    "bucket": text("Of this gateway alone."),
                    "region": text("", "us-east-1"),
                    "access_key_env": text("The variable that has the key's id.", "AWS_ACCESS_KEY_ID"),
                    "secret_key_env": text("The variable that has the secret.", "AWS_SECRET_ACCESS_KEY"),
                    "path_style": boolean("The bucket stands in the path, and not in the name.", False),
                },
            ),
        },
    )


def _console() -> Shape:
    return section(
        "The console, and what may be changed by requests.",
        {
            "enabled": boolean("Whether the console is served.", True),
            "write": boolean("Whether policy.yml may be written.", False),
        },
    )


_OF_GO = ("max_batch_size", "max_result_size", "max_aggregation_stages")


def _ignored(name: str) -> dict[str, Shape]:
    return {key: ignored(reason) for key, reason in IGNORED[name].items()}


def _secret(about: str) -> Shape:
    return text(f"{about} At least {SHORTEST_SECRET} bytes; best ${{ENV.NAME}}.")


def _server() -> Shape:
    own = Server()
    return section(
        "The process that serves.",
        {
            "host": text("Or SERVER_HOST, which goes first.", own.host, empty=True),
            "port": integer("Or SERVER_PORT, which goes first; 0 takes a free one.", own.port, 0, 65535),
            "workers": integer("Processes.", own.workers, 1, 256),
            "header_timeout": duration("For a whole head to arrive.", "10s"),
            "body_timeout": duration("For a whole body to arrive.", "15s"),
            "write_timeout": duration("How long an answer may lie unread.", "30s"),
            "keep_alive_timeout": duration("How long a connection stays open for its next request.", "5s"),
            "shutdown_timeout": duration("For requests under way at the end.", "10s"),
            "max_connections": integer("Of one process.", own.max_connections, 1, 1_000_000),
            "max_header_bytes": size("Request line and headers together, 1 KiB to 1 MiB.", "16KiB"),
            "trusted_proxies": texts("Proxies whose X-Forwarded-For is believed."),
            "secret": _secret("Signs cursors and keys masks; made once and kept where it is left out."),
            "previous_secrets": texts("What they signed still counts, of which nothing is signed any more."),
            **_ignored("server"),
        },
    )


def _mongodb() -> Shape:
    own = MongoDB()
    return section(
        "The database.",
        {
            "uri": text(_ADDRESS, own.uri, empty=True),
            "database": text("Or MONGODB_DATABASE, which goes first.", own.database, empty=True),
            "max_pool_size": integer("Connections of one process.", own.max_pool_size, 1, 1000),
            "min_pool_size": integer("Connections that are kept open.", own.min_pool_size, 0, 1000),
            "server_selection_timeout": duration("Until a server must be found.", "5s"),
            "connect_timeout": duration("Until a connection must stand.", "1500ms"),
            "write_concern": choice(["majority"], "Nothing else is taken.", "majority"),
        },
    )


def _auth() -> Shape:
    own = Auth()
    return section(
        "How credentials are read.",
        {
            "algorithm": texts("One, or a list of one family.", choice(FAMILIES)),
            "secret": _secret("For HS*."),
            "jwt_secret": {**_secret("Read as `secret`."), "deprecated": True},
            "public_key": text("PEM."),
            "public_key_file": text("A PEM file, seen from the folder of config.yaml."),
            "jwks_file": text("A JWK set; looked at again each second."),
            "issuer": text("Checked when set."),
            "audience": text("Checked when set."),
            "leeway": duration("How far clocks may differ.", "30s"),
            "claims": section(
                "Where claims are found; dotted paths lead into objects.",
                {
                    "user": text("", own.user_claim, empty=True),
                    "tenant": text("", own.tenant_claim, empty=True),
                    "roles": text("", own.roles_claim, empty=True),
                    "namespaces": text("", own.namespaces_claim, empty=True),
                },
            ),
            "api_keys": boolean("Whether API keys are taken.", own.api_keys),
            **_ignored("auth"),
        },
    )


def _limits() -> Shape:
    own = _LIMITS
    return section(
        "What one request may cost.",
        {
            "max_batch_size": integer("Items of a batch, and documents of a chunk.", own.max_batch_size, 1, 10_000),
            "max_result_size": integer("Rows of a page, and of an aggregation.", own.max_result_size, 1, 100_000),
            "max_aggregation_stages": integer("Stages of a pipeline.", own.max_aggregation_stages, 1, 100),
            "max_result_bytes": size("Of an answer.", "16MiB"),
            "max_bytes_in_flight": size("Of large answers at once, in one process.", "64MiB"),
            "max_body_bytes": size("Of a request; at most 40MiB.", "16MiB"),
            "max_document_bytes": size("Of a document; at most 16 MiB - 64 KiB.", "15MiB"),
            "max_transaction_bytes": size("Written by one transaction; at most 40MiB.", "16MiB"),
            "max_filter_depth": integer("Levels of a filter.", own.max_filter_depth, 1, 32),
            "max_filter_clauses": integer("Tests of a filter.", own.max_filter_clauses, 1, 10_000),
            "max_in_values": integer("Values of `$in`.", own.max_in_values, 1, 100_000),
            "max_regex_length": integer("Signs of a pattern.", own.max_regex_length, 1, 1000),
            "max_blob_bytes": size("Of a blob whose field says nothing.", "100MiB"),
            "query_timeout": duration("Of a query, and of a transaction with all its attempts.", "10s"),
            "max_subordinates": integer("People that a relation of a rule may name.", own.max_subordinates, 1, 100_000),
            "hierarchy_cache": duration("How old what is known of them may be.", "5s"),
            "job_lease": duration("How long a silent gateway keeps a job.", "15s"),
            "rate": section(
                "How much may be asked in a time of one process; the items of a batch count.",
                {
                    "per_principal": rate("Of one caller."),
                    "per_address": rate("Of one address; of IPv6 of one /64."),
                    "burst": duration("For how long what is not used adds up.", "10s"),
                },
            ),
        },
    )


def _audit() -> Shape:
    return section(
        "One entry a transaction in `_pm_audit`.",
        {
            "enabled": boolean("", True),
            "ttl": duration("Entries older than this are removed."),
            "seal": boolean("Entries are sealed, so that a later change of one is found.", True),
            "log_reads": boolean("Reads have entries too.", False),
            "sink": choice(["mongodb", "both"], "`both`: a webhook is told of each entry as well.", "mongodb"),
            "webhook": section(
                "Who is told of each entry.",
                {
                    "url": text("https, or http."),
                    "secret": text("Signs the call: 24 bytes or more, or `whsec_` and Base64. Best ${ENV.NAME}."),
                    "headers": entries("Further headers.", text(empty=True)),
                    "timeout": duration("For the whole call; at most 60s.", "10s"),
                    "retries": integer("", 20, 0, 100),
                },
            ),
            "include_changes": boolean("The entry of an update names the fields it changed.", True),
            "storage": {"const": "mongodb", "description": "Taken and ignored.", "deprecated": True},
            **_ignored("audit"),
        },
    )


def _metrics() -> Shape:
    return section(
        "Prometheus metrics.",
        {
            "port": integer("A port of its own for `/metrics`.", None, 1, 65535),
            "public": boolean("`/metrics` on the main port.", Metrics().public),
            "commands": boolean("The time of each of MongoDB's commands.", Metrics().commands),
        },
    )


def _logging() -> Shape:
    own = Logging()
    return section(
        "The log, on standard error.",
        {
            "format": choice(["json", "console", "auto"], "auto is console on a terminal.", own.format),
            "level": choice(["debug", "info", "warning", "error"], "", own.level),
            "requests": choice(["all", "writes", "errors", "none"], "Those that have a line.", own.requests),
            "slow_requests": duration("Requests that take as long have a line too.", "1s"),
        },
    )
