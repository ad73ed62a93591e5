"""Webhook endpoints through the API of a real process: from making to removal, replays, parking, 410."""

from __future__ import annotations

import json
from typing import Any

import pytest
from real.engine_process import EngineProcess
from real.processes import wait_until
from real.test_event_channels import bound_token, register, submit
from real.webhook_receiver import WebhookReceiver
from standardwebhooks import Webhook

pytestmark = pytest.mark.process


def endpoint(engine: EngineProcess, name: str) -> dict[str, Any]:
    return engine.request("GET", f"/v1/webhooks/{name}").json


def make(engine: EngineProcess, url: str, token: str | None = None, **members: Any) -> dict[str, Any]:
    answer = engine.request("POST", "/v1/webhooks", {"url": url, **members}, token=token)
    assert answer.status == 200, answer.body
    return answer.json


def test_endpoints_are_routes_for_emailengines_clients(engine: EngineProcess) -> None:
    empty = {"total": 0, "pages": 0, "page": 0, "webhooks": []}
    assert engine.request("GET", "/v1/webhookRoutes").json == empty
    made = make(engine, "https://example.com/", description="CRM", enabled=False)
    (shown,) = engine.request("GET", "/v1/webhookRoutes").json["webhooks"]
    assert (shown["id"], shown["name"], shown["targetUrl"], shown["tcount"]) == (
        made["id"],
        "CRM",
        "https://example.com/",
        0,
    )
    one = engine.request("GET", f"/v1/webhookRoutes/webhookRoute/{made['id']}").json
    assert one == {**shown, "content": {"fn": None}}
    assert engine.request("GET", "/v1/webhookRoutes/webhookRoute/none").status == 404


def test_an_endpoint_from_making_to_removal(engine: EngineProcess, webhook_receiver: WebhookReceiver) -> None:
    register(engine, "a")
    made = make(
        engine,
        webhook_receiver.url,
        after=0,
        events=["messageSent", "accountAdded"],
        headers=[{"key": "X-Token", "value": "t0p"}],
        filter="event != 'accountAdded'",
        map="{what: event, seq: seq, to: data.accepted}",
    )
    submit(engine, "a")
    (hook,) = (webhook_receiver.wait_until_posts(1), webhook_receiver.webhooks)[1]
    assert json.loads(hook.body)["to"] == ["x@sandbox.example"]
    assert hook.headers["X-Token"] == "t0p"
    assert hook.headers["X-EE-Wh-Custom-Route"] == made["id"]
    assert hook.headers["X-EE-Wh-Queued-Time"].endswith("s")
    assert Webhook(made["secrets"][0]).verify(hook.body, dict(hook.headers.items()))
    shown = endpoint(engine, made["id"])
    assert (shown["state"], shown["secrets"], shown["headers"]) == (
        "ok",
        ["******"],
        [{"key": "X-Token", "value": "******"}],
    )
    assert b"t0p" not in engine.request("GET", "/v1/webhooks").body
    assert b"t0p" not in (engine.folder / "journal.db-wal").read_bytes()
    tested = engine.request("POST", f"/v1/webhooks/{made['id']}/test").json
    assert (tested["success"], tested["status"]) == (True, 200)
    engine.restart()
    wait_until(lambda: endpoint(engine, made["id"])["delivered"] == 1, "the count after a restart")
    update = {"filter": None, "map": None, "secrets": made["secrets"]}
    assert engine.request("PUT", f"/v1/webhooks/{made['id']}", update).json == {"id": made["id"]}
    assert engine.request("PUT", f"/v1/webhooks/{made['id']}", {"filter": "a b"}).status == 400
    (wrong,) = engine.request("PUT", f"/v1/webhooks/{made['id']}", {"events": ["messageSnt"]}).json["fields"]
    assert wrong["path"] == "events[0]"
    assert engine.request("PUT", f"/v1/webhooks/{made['id']}", {"secrets": ["******"]}).status == 400
    assert engine.request("PUT", f"/v1/webhooks/{made['id']}", {"headers": [{"key": "Host"}]}).status == 400
    assert engine.request("DELETE", f"/v1/webhooks/{made['id']}").json == {"id": made["id"], "deleted": True}
    assert engine.request("GET", f"/v1/webhooks/{made['id']}").status == 404
    assert engine.request("PUT", "/v1/webhooks/default", {"enabled": False}).status == 400


def test_replays_go_back_or_elsewhere(engine: EngineProcess, webhook_receiver: WebhookReceiver) -> None:
    register(engine, "a")
    last = engine.request("GET", "/v1/events").json["last"]
    made = make(engine, webhook_receiver.url, after=0)
    webhook_receiver.wait_until_posts(last)
    assert engine.request("POST", f"/v1/webhooks/{made['id']}/replay", {"after": 1}).json["seq"] == 1
    webhook_receiver.wait_until_posts(last + last - 1)
    with WebhookReceiver() as other:
        since = webhook_receiver.webhooks[0].event["date"]
        answer = engine.request("POST", f"/v1/webhooks/{made['id']}/replay", {"since": since, "url": other.url}).json
        assert answer["until"] == last
        other.wait_until_posts(last)
        assert [event["seq"] for event in other.events()] == list(range(1, last + 1))
        wait_until(lambda: engine.request("GET", f"/v1/webhooks/{answer['id']}").status == 404, "end of the replay")
    assert engine.request("POST", f"/v1/webhooks/{made['id']}/replay", {}).status == 400
    assert engine.request("POST", f"/v1/webhooks/{made['id']}/replay", {"after": 999}).json["code"] == "FutureCursor"


def test_what_is_parked_is_listed_retried_and_skipped(start_engine: Any, webhook_receiver: WebhookReceiver) -> None:
    engine = start_engine(ENGINE_WEBHOOKS__SCHEDULE="10ms 10ms")
    register(engine, "a")
    last = engine.request("GET", "/v1/events").json["last"]
    webhook_receiver.status = 500
    made = make(engine, webhook_receiver.url, after=0)
    parked = f"/v1/webhooks/{made['id']}/parked"
    wait_until(lambda: engine.request("GET", parked).json["total"] == last, "everything parked")
    first = engine.request("GET", f"{parked}?pageSize=1").json["parked"][0]
    assert (first["seq"], first["attempts"], first["reason"]) == (1, 3, "the answer was 500")
    assert engine.request("POST", parked, {"action": "skip", "seqs": [2]}).json == {"events": 1}
    webhook_receiver.webhooks.clear()
    webhook_receiver.status = 200
    assert engine.request("POST", parked, {"action": "retry"}).json == {"events": last - 1}
    wait_until(lambda: engine.request("GET", parked).json["total"] == 0, "everything taken")
    assert [event["seq"] for event in webhook_receiver.events()] == [n for n in range(1, last + 1) if n != 2]


def test_gone_disables_an_endpoint_for_good(engine: EngineProcess, webhook_receiver: WebhookReceiver) -> None:
    register(engine, "a")
    webhook_receiver.status = 410
    made = make(engine, webhook_receiver.url, after=0)
    wait_until(lambda: endpoint(engine, made["id"])["state"] == "disabled", "the endpoint to be disabled")
    assert endpoint(engine, made["id"])["disabledReason"] == "the receiver answered 410 Gone"
    engine.restart()
    assert endpoint(engine, made["id"])["enabled"] is False
    webhook_receiver.status = 200
    engine.request("PUT", f"/v1/webhooks/{made['id']}", {"enabled": True})
    wait_until(lambda: endpoint(engine, made["id"])["behind"] == 0, "what it missed")
    assert "disabledReason" not in endpoint(engine, made["id"])


def test_an_accounts_own_url_replaces_that_of_the_settings(
    engine: EngineProcess, webhook_receiver: WebhookReceiver
) -> None:
    with WebhookReceiver() as own:
        settings = {
            "webhooks": webhook_receiver.url.replace("//", "//user:s3cret@"),
            "webhooksEnabled": True,
            "webhookEvents": ["messageSent"],
            "webhooksCustomHeaders": [{"key": "X-All", "value": "1"}, {"key": "X-Who", "value": "all"}],
            "serviceSecret": "our secret",
        }
        assert engine.request("POST", "/v1/settings", settings).status == 200
        shown = engine.request(
            "GET", "/v1/settings?webhooks=true&serviceSecret=true&webhooksCustomHeaders=true&eventTypes=true"
        ).json
        assert shown["serviceSecret"] == "******"
        assert shown["webhooks"] == webhook_receiver.url.replace("//", "//******@")
        assert shown["webhooksCustomHeaders"][0] == {"key": "X-All", "value": "******"}
        assert "messageSent" in shown["eventTypes"]
        every = engine.request("GET", "/v1/settings").json
        assert {name: every[name] for name in ("webhooks", "webhooksEnabled", "serviceUrl")} == {
            "webhooks": shown["webhooks"],
            "webhooksEnabled": True,
            "serviceUrl": None,
        }
        assert not {"serviceSecret", "eventTypes"} & set(every)
        assert engine.request("POST", "/v1/settings", {"serviceSecret": "******"}).status == 200
        assert engine.request("POST", "/v1/settings", {"webhooks": "http://******@elsewhere.example/"}).status == 400
        register(engine, "a", webhooks=own.url, webhooksCustomHeaders=[{"key": "X-Who", "value": "a"}])
        register(engine, "b")
        submit(engine, "a")
        submit(engine, "b")
        own.wait_for("messageSent")
        webhook_receiver.wait_for("messageSent")
        assert [event["account"] for event in own.events()] == ["a"]
        assert [event["account"] for event in webhook_receiver.events()] == ["b"]
        (hook,) = own.webhooks
        assert (hook.headers["X-All"], hook.headers["X-Who"]) == ("1", "a")
        assert Webhook(b"our secret").verify(hook.body, dict(hook.headers.items()))
        assert engine.request("GET", "/v1/account/a").json["webhooks"] == own.url
        engine.restart()
        engine.wait_for_state("a", "connected")
        submit(engine, "a")
        own.wait_for("messageSent", 2)
        engine.request("PUT", "/v1/account/a", {"webhooks": ""})
        submit(engine, "a")
        webhook_receiver.wait_for("messageSent", 2)
        assert b"s3cret" not in (engine.folder / "journal.db-wal").read_bytes()


NASTY = [
    "http://169.254.169.254/latest/meta-data/",
    "http://[::ffff:169.254.169.254]/",
    "http://[fe80::1]/",
    "http://0.0.0.0/",
    "http://0/",
    "http://[::]/",
    "http://100.100.100.200/",
    "http://[fd00:ec2::254]/",
    "http://2852039166/",
    "http://0xa9fea9fe/",
    "http://0251.0376.0251.0376/",
    "http://169.254.43518/",
    "http://user@169.254.169.254/",
    "http://example.com@169.254.169.254/",
    "http://169.254.169.254:80#@example.com/",
    "http://224.0.0.1/",
    "http://255.255.255.255/",
    "http://[64:ff9b::a9fe:a9fe]/",
    "http://[2002:a9fe:a9fe::1]/",
    "file:///etc/passwd",
    "gopher://127.0.0.1/",
    "http:///nohost",
    "http://x\\@127.0.0.1/",
    "//127.0.0.1/",
    "javascript:alert(1)",
    "http://127.0.0.1:99999/",
    "http://127.0.0.1:0/",
    "http://[::1",
    "http://exa mple.com/",
    "http://example.com/\r\nX: y",
    "http://127.1:1/",
    "http://2130706433:1/",
    "http://0x7f.1:1/",
    "http://017700000001:1/",
]
PRIVATE = [
    "http://127.0.0.1:1/",
    "http://localhost:1/",
    "http://[::1]:1/",
    "http://[::ffff:127.0.0.1]:1/",
    "http://[::ffff:10.0.0.1]:1/",
    "http://10.0.0.1/",
    "http://172.16.0.1/",
    "http://192.168.0.1/",
    "http://100.64.0.1/",
    "http://[fd12::1]/",
]


def test_nasty_urls_are_refused_when_they_are_given(engine: EngineProcess, start_engine: Any) -> None:
    register(engine, "a")
    token = bound_token(engine, "a")
    for url in NASTY:
        for answer in (
            engine.request("POST", "/v1/webhooks", {"url": url}),
            engine.request("POST", "/v1/webhooks", {"url": url}, token=token),
            engine.request("POST", "/v1/settings", {"webhooks": url}),
            engine.request("PUT", "/v1/account/a", {"webhooks": url}),
        ):
            assert answer.status == 400, (url, answer.body)
            assert answer.json["fields"][0]["key"] in ("url", "webhooks"), url
    for url in PRIVATE:
        assert engine.request("POST", "/v1/webhooks", {"url": url, "enabled": False}).status == 200, url
        for path, method, body in (
            ("/v1/webhooks", "POST", {"url": url}),
            ("/v1/account/a", "PUT", {"webhooks": url}),
        ):
            answer = engine.request(method, path, body, token=token)
            assert (answer.status, answer.json["code"]) == (400, "EgressRefused"), url
    strict = start_engine(ENGINE_WEBHOOKS__ALLOW_PRIVATE="false")
    for url in PRIVATE:
        assert strict.request("POST", "/v1/webhooks", {"url": url}).status == 400, url
        assert strict.request("POST", "/v1/settings", {"webhooks": url}).status == 400, url


def test_a_bound_token_makes_endpoints_of_its_account_only(engine: EngineProcess) -> None:
    register(engine, "a")
    token = bound_token(engine, "a")
    foreign = make(engine, "https://example.com/x", enabled=False)
    body: dict[str, Any] = {"url": "https://example.com/hook", "enabled": False}
    made = make(engine, token=token, **body)
    shown = engine.request("GET", f"/v1/webhooks/{made['id']}", token=token).json
    assert (shown["account"], shown["accounts"]) == ("a", ["a"])
    for method in ("GET", "DELETE"):
        assert engine.request(method, f"/v1/webhooks/{foreign['id']}", token=token).status == 404
    assert engine.request("POST", "/v1/webhooks", {**body, "accounts": ["b"]}, token=token).status == 403
    assert engine.request("PUT", f"/v1/webhooks/{made['id']}", {"accounts": None}, token=token).status == 200
    assert engine.request("GET", f"/v1/webhooks/{made['id']}", token=token).json["accounts"] == ["a"]
    listed = engine.request("GET", "/v1/webhooks", token=token).json
    assert [each["id"] for each in listed["webhooks"]] == [made["id"]]


def test_the_settings_say_why_nothing_is_posted(engine: EngineProcess, webhook_receiver: WebhookReceiver) -> None:
    def change(**values: Any) -> dict[str, Any]:
        return engine.request("POST", "/v1/settings", values).json

    url = webhook_receiver.url
    made = change(webhooks=url)
    assert made["notes"] == ['"webhooksEnabled" is not true, so nothing is posted']
    assert made["updated"] == ["webhooks"]
    assert endpoint(engine, "default")["state"] == "disabled"
    assert change(webhooksEnabled=True) == {"updated": ["webhooksEnabled"]}, "every event, the secret as it was"
    assert endpoint(engine, "default")["state"] == "ok"
    assert change(webhooks=None)["notes"] == ['"webhooks" is not set, so nothing is posted']
    assert endpoint(engine, "default")["state"] == "no url"
    (wrong,) = change(webhookEvents=["messageSnet"])["fields"]
    assert wrong["path"] == "webhookEvents[0]" and "messageSent is" in wrong["message"]
    assert "names no event" in change(webhooks=url, webhookEvents=[])["notes"][0]
    assert endpoint(engine, "default")["state"] == "no events"
    register(engine, "a")
    assert "notes" not in change(serviceUrl="https://mail.example.com")
    assert endpoint(engine, "default")["behind"] > 0 and not webhook_receiver.webhooks
    assert change(webhookEvents=["accountAdded"]) == {"updated": ["webhookEvents"]}
    (hook,) = (webhook_receiver.wait_until_posts(1), webhook_receiver.webhooks)[1]
    assert Webhook(made["serviceSecret"]).verify(hook.body, dict(hook.headers.items()))
    assert endpoint(engine, "default")["state"] == "ok"


def test_a_secret_of_the_settings_is_shown_when_it_is_made(
    engine: EngineProcess, webhook_receiver: WebhookReceiver
) -> None:
    def change(**values: Any) -> dict[str, Any]:
        return engine.request("POST", "/v1/settings", values).json

    assert change(serviceSecret="ours", webhooks=webhook_receiver.url, webhooksEnabled=True) == {
        "updated": ["webhooks", "webhooksEnabled", "serviceSecret"]
    }
    made = change(serviceSecret=None)
    assert made["updated"] == ["serviceSecret"]
    assert engine.request("GET", "/v1/settings?serviceSecret=true").json == {"serviceSecret": "******"}
    register(engine, "a")
    hook = (webhook_receiver.wait_until_posts(1), webhook_receiver.webhooks)[1][0]
    assert Webhook(made["serviceSecret"]).verify(hook.body, dict(hook.headers.items()))
    assert b"whsec_" not in (engine.folder / "journal.db-wal").read_bytes()
    # Accounts' own URLs are signed with it too, so there is one as soon as webhooks are on.
    assert "serviceSecret" not in change(webhooks=None, webhooksEnabled=False)
    assert "serviceSecret" not in change(serviceSecret=None)
    assert change(webhooksEnabled=True)["serviceSecret"].startswith("whsec_")
