"""How much one request may ask for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rate:
    """Items a second, None for as many as there are; `burst` is the seconds for which what is not used adds up."""

    per_principal: float | None = None
    per_address: float | None = None
    burst: float = 10.0


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes in bytes, times in seconds."""

    max_batch_size: int = 1000
    max_result_size: int = 10_000
    max_aggregation_stages: int = 20
    max_result_bytes: int = 16 * 2**20
    max_bytes_in_flight: int = 64 * 2**20
    max_body_bytes: int = 16 * 2**20
    max_document_bytes: int = 15 * 2**20
    max_transaction_bytes: int = 16 * 2**20
    max_filter_depth: int = 8
    max_filter_clauses: int = 200
    max_in_values: int = 10_000
    max_regex_length: int = 128
    max_blob_bytes: int = 100 * 2**20
    query_timeout: float = 10.0
    job_lease: float = 15.0
    max_subordinates: int = 10_000
    hierarchy_cache: float = 5.0
    rate: Rate | None = None
