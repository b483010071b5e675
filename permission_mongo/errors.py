"""Every refusal the gateway can give. Knows codes and words; knows no HTTP.

Refusal
├── InvalidRequest          bad_request
├── AsOfOutOfRange          as_of_out_of_range
├── Unauthenticated         unauthorized
├── Forbidden               forbidden
├── CollectionNotFound      collection_not_found
├── DocumentNotFound        document_not_found
├── VersionNotFound         version_not_found
├── BatchNotFound           batch_not_found
├── JobNotFound             job_not_found
├── Conflict                conflict
│   └── StillRunning        conflict, to be asked again in a second
├── PreconditionFailed      precondition_failed
├── PayloadTooLarge         payload_too_large
├── SchemaViolation         schema_validation
├── HookRejected            hook_rejected
├── RateLimited             rate_limited
├── VersioningNotEnabled    versioning_not_enabled
├── Unavailable             unavailable
│   └── NoConnectionFree    unavailable
└── DeadlineExceeded        timeout

Misconfigured               a configuration that must not serve: all its findings at once
StartupFailure              the process can't start: one sentence and what to do
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Literal

Severity = Literal["error", "warning", "notice"]
_MEANT: Final = re.compile(r"did you mean '([^']+)'\?")


class Refusal(Exception):
    """Something the caller is told instead of an answer: a stable code, a sentence, details without secrets."""

    code: ClassVar[str] = "internal_error"

    def __init__(self, message: str, **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.details: Mapping[str, Any] = details

    def as_entry(self) -> dict[str, Any]:
        """The `error` object of the HTTP contract."""
        entry: dict[str, Any] = {"code": self.code, "message": self.message}
        if self.details:
            entry["details"] = dict(self.details)
        return entry


class InvalidRequest(Refusal):
    code = "bad_request"


class AsOfOutOfRange(Refusal):
    """A moment that can't be told of; `from` in the details is the first that can."""

    code = "as_of_out_of_range"


class Unauthenticated(Refusal):
    code = "unauthorized"


class Forbidden(Refusal):
    code = "forbidden"


class CollectionNotFound(Refusal):
    code = "collection_not_found"


class DocumentNotFound(Refusal):
    code = "document_not_found"


class VersionNotFound(Refusal):
    code = "version_not_found"


class BatchNotFound(Refusal):
    code = "batch_not_found"


class JobNotFound(Refusal):
    code = "job_not_found"


class Conflict(Refusal):
    code = "conflict"


class StillRunning(Conflict):
    """The same write is on its way: asked again in a moment, it is answered. `job` is what it became, if it did."""

    job: str | None = None


class PreconditionFailed(Refusal):
    code = "precondition_failed"


class PayloadTooLarge(Refusal):
    code = "payload_too_large"


class SchemaViolation(Refusal):
    code = "schema_validation"


class HookRejected(Refusal):
    """A hook before the write said no, in its own words."""

    code = "hook_rejected"


class RateLimited(Refusal):
    """Too much of it at once by this caller."""

    code = "rate_limited"


class VersioningNotEnabled(Refusal):
    code = "versioning_not_enabled"


class Unavailable(Refusal):
    code = "unavailable"


class NoConnectionFree(Unavailable):
    """All connections to MongoDB were at work for as long as a request waits for one."""


class CallerLeft(Refusal):
    """Nobody is there to be answered, or to send what is missing: no failure of ours."""

    code = "request_timeout"


class DeadlineExceeded(Refusal):
    code = "timeout"


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One mistake in a configuration file. `line` and `column` count from 1; 0 where there is no place.

    `code` is stable; docs/linting.md has them all. `proposal` is what to write, where that is more than one word.
    """

    file: str
    line: int
    column: int
    message: str
    warning: bool = False
    code: str = "invalid"
    proposal: str = ""
    notice: bool = False  # worth knowing; nothing to mend

    @property
    def severity(self) -> Severity:
        return "notice" if self.notice else "warning" if self.warning else "error"

    @property
    def suggestion(self) -> str:
        """What would be right, to be put there as it stands; empty where nothing is proposed."""
        meant = _MEANT.search(self.message)
        return self.proposal or (meant[1] if meant else "")

    @property
    def place(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file

    def told(self) -> dict[str, object]:
        """As JSON tells it. The shape is documented in docs/linting.md, and keys are only ever added."""
        return {
            "code": self.code,
            "severity": self.severity,
            "message": self.message,
            "file": self.file,
            "line": self.line,
            "column": self.column,
            "suggestion": self.suggestion or None,
        }

    def __str__(self) -> str:
        return f"{self.place}: {'' if self.severity == 'error' else f'{self.severity}: '}{self.message}"


class Misconfigured(Exception):
    """The configuration has mistakes; `findings` names all of them, in the order of the files."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        super().__init__("\n".join(str(finding) for finding in findings))
        self.findings = tuple(findings)


class StartupFailure(Exception):
    """The process can't start: one sentence for a person, with what to do about it."""
