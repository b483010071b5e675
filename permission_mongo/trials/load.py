"""Load a configuration to serve it: what has mistakes, or a policy test that fails, never serves.

Whoever serves, reloads or checks loads by `load_tested`; nothing else may hand a configuration to a gateway.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from permission_mongo.config.load import load_config
from permission_mongo.config.model import Config
from permission_mongo.errors import Finding, Misconfigured
from permission_mongo.trials.run import run_tests


def load_tested(place: Path, environment: Mapping[str, str] | None = None) -> Config:
    """As `load_config`, with the policy tests run. Misconfigured names every mistake, or every test that fails."""
    config = load_config(place, environment)
    require_tested(config)
    return config


def require_tested(config: Config) -> None:
    """Misconfigured where a policy test fails, with the places of all that do."""
    findings = list(_failures(config))
    if findings:
        raise Misconfigured(findings)


def _failures(config: Config) -> Iterator[Finding]:
    for result in run_tests(config):
        if result.faults:
            first, *more = result.faults
            others = f" (and {len(more)} more)" if more else ""
            message = f"policy test '{result.case.name}' fails: {first}{others}"
            yield result.case.mark.finding(message, code="policy-test")
