"""Alerts and dashboard: every metric, label and runbook that they name is there."""

import json
import re
from pathlib import Path

import pytest
import yaml

from permission_mongo.metrics import Metrics

ROOT = Path(__file__).parents[2]
GROUPS = yaml.safe_load((ROOT / "deploy/prometheus/alerts.yml").read_text())["groups"]
ALERTS = [rule for group in GROUPS for rule in group["rules"]]
DASHBOARD = json.loads((ROOT / "deploy/grafana/permission-mongo.json").read_text())
QUERIES = [(panel["title"], one["expr"]) for panel in DASHBOARD["panels"] for one in panel["targets"]]
EXPRESSIONS = [(rule["alert"], rule["expr"]) for rule in ALERTS] + QUERIES
OF_PROMETHEUS = {"up": {"job", "instance"}}
OF_THE_SCRAPE = {"job", "instance"}


def exposed() -> dict[str, set[str]]:
    """The samples that the registry exposes, with their labels."""
    found: dict[str, set[str]] = dict(OF_PROMETHEUS)
    for collector, names in Metrics().registry._collector_to_names.items():
        labels = {*collector._labelnames, *OF_THE_SCRAPE}
        for name in names:
            found[name] = labels | ({"le"} if name.endswith("_bucket") else set())
    return found


SAMPLES = exposed()
# In the table of docs/observability.md, which comes with the metrics themselves.
AWAITED = {
    "permission_mongo_batch_items_total": {"verb", "outcome"},
    "permission_mongo_event_loop_lag_seconds": set(),
    "permission_mongo_jobs_running": set(),
    "permission_mongo_log_lines_dropped_total": set(),
    "permission_mongo_mongodb_checkout_timeouts_total": set(),
    "permission_mongo_mongodb_command_duration_seconds_bucket": {"command", "outcome", "le"},
    "permission_mongo_mongodb_pool_connections": {"state"},
    "permission_mongo_mongodb_pool_waiting": set(),
    "permission_mongo_versions_written_total": {"collection"},
}
if not (ROOT / "docs/observability.md").exists():
    SAMPLES.update({name: labels | OF_THE_SCRAPE for name, labels in AWAITED.items()})


@pytest.mark.parametrize(("name", "expression"), EXPRESSIONS, ids=lambda one: one if "(" not in one else "")
def test_every_metric_and_label_is_one_that_the_gateway_exposes(name, expression):
    selectors = re.findall(r"\b(up|permission_mongo_\w+)(?:\{([^}]*)\})?", expression)
    assert selectors
    known = set()
    for metric, matchers in selectors:
        assert metric in SAMPLES, metric
        known |= SAMPLES[metric]
        assert set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers)) <= SAMPLES[metric], (metric, matchers)
    for labels in re.findall(r"\bby \(([^)]*)\)", expression):
        assert set(re.split(r",\s*", labels)) <= known, labels


@pytest.mark.parametrize(("name", "expression"), EXPRESSIONS, ids=lambda one: one if "(" not in one else "")
def test_every_bracket_is_closed(name, expression):
    open_ones = []
    for sign in re.sub(r'"[^"]*"', "", expression):
        if sign in "([{":
            open_ones.append(sign)
        elif sign in ")]}":
            assert open_ones.pop() + sign in ("()", "[]", "{}")
    assert open_ones == []


def headings() -> set[str]:
    """The anchors of operations.md, as renderers of Markdown make them."""
    text = (ROOT / "docs/operations.md").read_text()
    titles = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_every_alert_says_how_bad_it_is_what_it_is_and_what_to_do(rule):
    assert rule["labels"]["severity"] in ("critical", "warning", "info")
    assert rule["annotations"]["summary"]
    page, _, anchor = rule["annotations"]["runbook"].partition("#")
    assert page == "docs/operations.md"
    assert anchor in headings()
    used = set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]))
    assert used <= {label for metric in SAMPLES if metric in rule["expr"] for label in SAMPLES[metric]}


def test_each_alert_has_a_name_of_its_own_and_what_must_be_watched_is():
    names = [rule["alert"] for rule in ALERTS]
    assert len(names) == len(set(names))
    watched = " ".join(rule["expr"] for rule in ALERTS)
    for metric in (
        "config_reload_failed",
        "config_in_force",
        "outbox_entries",
        "audit_dropped_total",
        "audit_sealing_failed_total",
        "http_request_duration_seconds_bucket",
    ):
        assert f"permission_mongo_{metric}" in watched


def test_no_two_panels_of_the_dashboard_lie_over_each_other():
    taken = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert at["x"] + at["w"] <= 24
        assert not taken & cells, panel["title"]
        taken |= cells
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
