"""docs/metrics.md and the dashboard, held against the catalogue of metrics."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from engine.schema.metrics import METRICS, OWN_METRICS, PEER_METRICS, PROCESS_METRICS, Metric, MetricKind

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "metrics.md").read_text(encoding="utf-8")
DASHBOARD = json.loads((DOCS / "grafana.json").read_text(encoding="utf-8"))

SECTIONS = {"As in EmailEngine": PEER_METRICS, "The engine's own": OWN_METRICS, "Of the process": PROCESS_METRICS}
BY_SUFFIX = ("_bucket", "_count", "_sum")
OF_PROMETHEUS = {"up"}


def row(metric: Metric) -> str:
    labels = ", ".join(f"`{label}`" for label in metric.labels)
    return f"| `{metric.name}` | {metric.kind.value} | {labels} | {metric.meaning} |"


@pytest.mark.parametrize("section", SECTIONS)
def test_the_page_has_a_row_for_each_metric_and_none_else(section: str) -> None:
    rows = [line for line in PAGE.partition(f"\n## {section}\n")[2].partition("\n## ")[0].splitlines() if "| `" in line]
    assert rows == [row(metric) for metric in SECTIONS[section]]


def test_names_follow_the_rules_of_prometheus() -> None:
    for name, metric in METRICS.items():
        assert re.fullmatch(r"[a-z][a-z0-9_]*", name)
        assert name.endswith("_total") == (metric.kind is MetricKind.COUNTER)
    assert all(metric.name.startswith("mailbox_engine_") for metric in OWN_METRICS)


def used(expression: str) -> dict[str, set[str]]:
    """The metrics of a PromQL expression, each with the labels that it is selected by."""
    found: dict[str, set[str]] = {}
    functions = r"(?!\s*\()"
    for name, selector in re.findall(
        rf"\b([a-z][a-z0-9_]*_[a-z0-9_]+|up|events|webhooks)\b{functions}(\{{[^}}]*\}})?", expression
    ):
        found.setdefault(name, set()).update(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", selector))
    return found


def check(expression: str) -> None:
    metrics = used(re.sub(r"\b(?:by|without)\s*\([^)]*\)", "", re.sub(r'"[^"]*"', '""', expression)))
    assert metrics, expression
    labels: set[str] = {"le"}
    for name, selected in metrics.items():
        if name in OF_PROMETHEUS:
            continue
        plain = next((name.removesuffix(each) for each in BY_SUFFIX if name.removesuffix(each) in METRICS), name)
        assert plain in METRICS, f"{name} in {expression}"
        is_histogram = METRICS[plain].kind is MetricKind.HISTOGRAM
        assert is_histogram == (plain != name), f"{name} in {expression}"
        labels |= set(METRICS[plain].labels)
        assert selected <= {*METRICS[plain].labels, "le", "job", "instance"}, expression
    for group in re.findall(r"\b(?:by|without)\s*\(([^)]*)\)", expression):
        assert {each.strip() for each in group.split(",")} <= labels, expression


def panels() -> list[dict[str, Any]]:
    return [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]


def test_each_panel_of_the_dashboard_shows_metrics_that_exist() -> None:
    assert len(panels()) >= 12
    for panel in panels():
        assert panel["title"]
        assert panel["targets"]
        for target in panel["targets"]:
            check(target["expr"])


def test_the_dashboard_can_be_imported() -> None:
    assert DASHBOARD["title"] == "Mailbox Engine"
    assert (DASHBOARD["id"], DASHBOARD["uid"]) == (None, "mailbox-engine")
    assert {each["name"] for each in DASHBOARD["__inputs"]} == {"DS_PROMETHEUS"}
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert at["x"] + at["w"] <= 24
        assert not cells & taken, f"{panel['title']} lies over another"
        taken |= cells
    assert all(panel["datasource"]["uid"] == "${DS_PROMETHEUS}" for panel in panels())


def test_the_alerts_of_the_page_name_metrics_that_exist() -> None:
    alerts = re.findall(r"expr: (.*)", PAGE)
    assert len(alerts) >= 5
    for each in alerts:
        check(each)


def test_the_dashboard_shows_all_that_an_operator_must_see() -> None:
    shown = {name for panel in panels() for target in panel["targets"] for name in used(target["expr"])}
    plain = {next((name.removesuffix(e) for e in BY_SUFFIX if name.removesuffix(e) in METRICS), name) for name in shown}
    quiet = {"mailbox_engine_info", "mailbox_engine_store_read_up", "mailbox_engine_account_consumer_lag_events"}
    quiet |= {"mailbox_engine_account_webhook_lag_events", "mailbox_engine_smtp_door_messages_total"}
    quiet |= {"mailbox_engine_last_event", "queues_processed"}
    assert {metric.name for metric in (*OWN_METRICS, *PEER_METRICS)} - quiet <= plain
