"""What Prometheus reads at `/metrics`, of an engine at work."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio.testing
from asking import Answer, Caller
from prometheus_client.openmetrics import parser as openmetrics_parser
from prometheus_client.parser import text_string_to_metric_families
from simulation import Engine, Simulation

from engine.metrics.own_port import make_metrics_app
from engine.schema.metrics import METRICS, OWN_METRICS, PEER_METRICS, MetricKind

MAIL = {"to": [{"address": "you@sandbox.example"}], "text": "Hi"}
Labels = frozenset[tuple[str, str]]


@pytest.fixture
async def asking(tmp_path: Path) -> AsyncIterator[tuple[Engine, Caller]]:
    async with Simulation(tmp_path / "data", 4712).running() as engine:
        await engine.register("acme")
        yield engine, await Caller.of(engine, scopes=["api"])


async def samples(engine: Engine) -> dict[tuple[str, Labels], float]:
    return read(await (await Caller.of(engine, scopes=["metrics"])).ask("GET", "/metrics"))


def read(answer: Answer) -> dict[tuple[str, Labels], float]:
    assert answer.status == 200
    found: dict[tuple[str, Labels], float] = {}
    for family in text_string_to_metric_families(answer.body.decode()):
        for name, labels, value, *_ in family.samples:
            key = (name, frozenset(labels.items()))
            assert key not in found
            found[key] = value
    return found


def of(name: str, **labels: str) -> tuple[str, Labels]:
    return name, frozenset(labels.items())


async def test_only_a_token_with_the_scope_reads_them(
    asking: tuple[Engine, Caller], autojump_clock: trio.testing.MockClock
) -> None:
    engine, caller = asking
    refused = await caller.ask("GET", "/metrics")
    assert (refused.status, refused.json["requestedScope"]) == (403, "metrics")
    assert (await caller.ask("GET", "/metrics", headers={"Authorization": ""})).status == 401
    answer = await (await Caller.of(engine, scopes=["metrics"])).ask("GET", "/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    only_these = await Caller.of(engine, scopes=["metrics"])
    assert (await only_these.ask("GET", "/v1/accounts")).status == 403
    assert (await (await Caller.of(engine, "acme")).ask("GET", "/metrics")).status == 403


async def test_they_are_those_of_the_catalogue_with_its_kinds_and_labels(
    asking: tuple[Engine, Caller], autojump_clock: trio.testing.MockClock
) -> None:
    engine, caller = asking
    await caller.ask("GET", "/v1/accounts")
    answer = await (await Caller.of(engine, scopes=["metrics"])).ask("GET", "/metrics")
    found = {}
    for family in text_string_to_metric_families(answer.body.decode()):
        name = f"{family.name}_total" if family.type == "counter" else family.name
        found[name] = family
    absent = {"mailbox_engine_smtp_door_messages_total", "mailbox_engine_certificate_ends_seconds"}
    assert set(found) == set(METRICS) - absent
    for name, family in found.items():
        metric = METRICS[name]
        assert family.type == {MetricKind.UNTYPED: "unknown"}.get(metric.kind, metric.kind.value), name
        assert family.documentation or name.startswith("process_")
        for each in family.samples:
            assert set(each.labels) - {"le"} == set(metric.labels), each


async def test_what_happens_is_counted(asking: tuple[Engine, Caller], autojump_clock: trio.testing.MockClock) -> None:
    engine, caller = asking
    before = await samples(engine)
    for to in ("you@sandbox.example", "reject+x@sandbox.example", "defer2+x@sandbox.example"):
        given = {**MAIL, "to": [{"address": to}]}
        assert (await caller.ask("POST", "/v1/account/acme/submit", given)).status == 200
    assert (await caller.ask("POST", "/v1/account/nosuch/submit", MAIL)).status == 404
    assert (await caller.ask("GET", "/v1/nosuch")).status == 404
    assert (await caller.ask("GET", "/v1/nosuch/b")).status == 404
    later = {**MAIL, "sendAt": "2030-01-01T00:00:00Z"}
    assert (await caller.ask("POST", "/v1/account/acme/submit", later)).status == 200
    await trio.sleep(3600)
    after = await samples(engine)
    route = {"method": "POST", "route": "/v1/account/{account}/submit"}

    def more(name: str, **labels: str) -> float:
        return after.get(of(name, **labels), 0) - before.get(of(name, **labels), 0)

    assert more("api_call", statusCode="200", **route) == 4
    assert more("api_call", statusCode="404", **route) == 1
    assert more("mailbox_engine_http_request_seconds_count", **route) == 5
    assert more("mailbox_engine_http_request_seconds_bucket", le="+Inf", **route) == 5
    assert more("api_call", statusCode="404", method="", route="") == 2
    assert more("mailbox_engine_messages_accepted_total") == 4
    assert more("mailbox_engine_attempts_total", verdict="accepted") == 2
    assert more("mailbox_engine_attempts_total", verdict="rejected") == 1
    assert more("mailbox_engine_attempts_total", verdict="later") == 2
    assert more("queues_processed", queue="submit", status="completed") == 2
    assert more("queues_processed", queue="submit", status="failed") == 3
    assert more("events", event="messageSent") == 2
    assert more("mailbox_engine_commit_seconds_count") > 8
    assert after[of("mailbox_engine_messages", state="queued")] == 1
    assert after[of("queue_size", queue="submit", state="delayed")] == 1
    assert after[of("queue_size", queue="submit", state="waiting")] == 0
    assert after[of("imap_connections", status="connected")] == 1
    assert after[of("mailbox_engine_store_up")] == after[of("mailbox_engine_store_read_up")] == 1
    assert after[of("mailbox_engine_store_bytes", file="journal")] > 4096
    named = {name for name, labels in after for _, value in labels if "acme" in value}
    assert {each for each in named if not each.startswith("mailbox_engine_account_accept_seconds")} == {
        "mailbox_engine_account_recipients_total"
    }
    for labels in ({"account": "acme"}, {"domain": "sandbox.example"}):
        (name,) = labels
        told = f"mailbox_engine_{name}_recipients_total"
        assert more(told, outcome="sent", **labels) == more(f"mailbox_engine_{name}_accept_seconds_count", **labels) > 0
        assert more(told, outcome="failed_hard", **labels) == 1


async def test_the_bodies_in_the_spool(asking: tuple[Engine, Caller], autojump_clock: trio.testing.MockClock) -> None:
    engine, caller = asking
    large = {**MAIL, "sendAt": "2030-01-01T00:00:00Z", "text": "x" * 300_000}
    assert (await samples(engine))[of("mailbox_engine_store_bytes", file="spool")] == 0
    made = (await caller.ask("POST", "/v1/account/acme/submit", large)).json
    assert (await samples(engine))[of("mailbox_engine_store_bytes", file="spool")] > 300_000
    await engine.cancel(made["queueId"])
    await trio.sleep(60)
    assert (await samples(engine))[of("mailbox_engine_store_bytes", file="spool")] == 0


async def test_the_port_of_its_own_serves_nothing_else(
    asking: tuple[Engine, Caller], autojump_clock: trio.testing.MockClock
) -> None:
    engine, _ = asking
    stranger = Caller(make_metrics_app(engine.context.metrics), "")
    found = read(await stranger.ask("GET", "/metrics"))
    assert found[of("mailbox_engine_store_up")] == 1
    openmetrics = await stranger.ask("GET", "/metrics", headers={"Accept": "application/openmetrics-text"})
    assert openmetrics.headers["content-type"].startswith("application/openmetrics-text")
    for method, path, status in (("GET", "/", 404), ("GET", "/v1/accounts", 404), ("POST", "/metrics", 405)):
        answer = await stranger.ask(method, path)
        assert (answer.status, answer.json["statusCode"]) == (status, status)
        assert answer.headers.get("allow") == ("GET, HEAD, OPTIONS" if status == 405 else None)


async def test_what_waits_and_for_whom(asking: tuple[Engine, Caller], autojump_clock: trio.testing.MockClock) -> None:
    engine, caller = asking
    assert (await caller.ask("PUT", "/v1/settings/queue/submit", {"paused": True})).status == 200
    assert (await caller.ask("POST", "/v1/account/acme/submit", MAIL)).status == 200
    await trio.sleep(90)
    found = await samples(engine)
    assert found[of("queue_size", queue="submit", state="waiting")] == 1
    assert found[of("mailbox_engine_oldest_message_seconds", state="queued")] == pytest.approx(90, abs=2)
    assert found[of("mailbox_engine_oldest_message_seconds", state="held")] == 0
    await caller.ask("PUT", "/v1/settings/queue/submit", {"paused": False})
    lost = {**MAIL, "to": [{"address": "cut-after-dot1+x@sandbox.example"}], "onDoubt": "hold"}
    assert (await caller.ask("POST", "/v1/account/acme/submit", lost)).status == 200
    await trio.sleep(3600)
    found = await samples(engine)
    assert found[of("mailbox_engine_waiting_for_decision", reason="doubt")] == 1
    assert found[of("mailbox_engine_messages", state="in_doubt")] == 1
    assert found[of("mailbox_engine_attempts_total", verdict="doubt")] == 1


async def test_how_far_behind_readers_are(
    asking: tuple[Engine, Caller], autojump_clock: trio.testing.MockClock
) -> None:
    engine, caller = asking
    bound = await Caller.of(engine, "acme")
    assert (await caller.ask("PUT", "/v1/events/consumers/billing", {"seq": 0})).status == 200
    assert (await bound.ask("PUT", "/v1/events/consumers/theirs", {"seq": 1})).status == 200
    hook = {"url": "http://127.0.0.1:9/", "events": ["messageSent"]}
    made = (await caller.ask("POST", "/v1/webhooks", hook)).json["id"]
    assert (await caller.ask("POST", "/v1/account/acme/submit", MAIL)).status == 200
    await trio.sleep(60)
    found = await samples(engine)
    last = found[of("mailbox_engine_last_event")]
    assert last > 3
    assert found[of("mailbox_engine_consumer_lag_events", consumer="billing")] == last
    assert found[of("mailbox_engine_account_consumer_lag_events")] == last - 1
    assert of("mailbox_engine_consumer_lag_events", consumer="theirs") not in found
    assert found[of("mailbox_engine_webhook_lag_events", webhook=made)] >= 0
    assert found[of("webhooks", status="fail", event="messageSent")] >= 1
    assert found[of("queues_processed", queue="notify", status="failed")] >= 1
    assert found[of("webhook_req_count")] >= 1


async def test_open_metrics_where_they_are_asked_for(
    asking: tuple[Engine, Caller], autojump_clock: trio.testing.MockClock
) -> None:
    engine, _ = asking
    accept = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
    caller = await Caller.of(engine, scopes=["metrics"])
    answer = await caller.ask("GET", "/metrics", headers={"Accept": accept})
    assert answer.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    names = {family.name for family in openmetrics_parser.text_string_to_metric_families(answer.body.decode())}
    assert {each.name.removesuffix("_total") for each in PEER_METRICS} <= names
    assert len(names) > len(OWN_METRICS)


async def test_a_store_that_cannot_be_read_costs_only_its_figures(
    asking: tuple[Engine, Caller],
    autojump_clock: trio.testing.MockClock,
    engine_errors: list[logging.LogRecord],
) -> None:
    engine, _ = asking
    caller = await Caller.of(engine, scopes=["metrics"])
    folder = engine.context.store.path
    folder.rename(folder.with_name("moved"))
    found = read(await caller.ask("GET", "/metrics"))
    folder.with_name("moved").rename(folder)
    assert found[of("mailbox_engine_store_read_up")] == 0
    assert found[of("mailbox_engine_store_up")] == 0
    assert of("mailbox_engine_messages", state="queued") not in found
    assert found[of("imap_connections", status="connected")] == 1
    assert (await samples(engine))[of("mailbox_engine_store_up")] == 1
