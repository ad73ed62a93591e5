"""Every operation there is answers what it says it answers, with an account at work behind it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio.testing
from answers import WrongAnswer, check, operation_at
from asking import Caller
from inbox import deliver
from simulation import CLEAR_TEXT, Engine, Simulation

from engine.accounts import message_ids
from engine.api import operations
from engine.store import tokens

SERVERS = {
    "imap": {"host": "imap.sandbox.example", "port": 143, "auth": {"user": "u", "pass": "p"}, "tls": CLEAR_TEXT},
    "smtp": {"host": "smtp.sandbox.example", "port": 587, "auth": {"user": "u", "pass": "p"}, "tls": CLEAR_TEXT},
}
HOOK = {"url": "http://127.0.0.1:9/", "events": ["messageSent"], "headers": [{"key": "X-Api-Key", "value": "k"}]}
APP = {"name": "x", "provider": "sandbox", "clientId": "engine", "clientSecret": "s", "enabled": True}
REPLAY = {"after": 0, "url": "http://127.0.0.1:9/again"}
AUTHORIZE = {"authorize": True, "redirectUrl": "https://x.example/back"}
SETTINGS = "webhooks webhooksEnabled serviceUrl webhooksCustomHeaders serviceSecret eventTypes notifyHeaders"


TEMPLATE = {"account": "acme", "name": "x", "content": {"html": "{{params.a}}"}}
GATEWAY = {"gateway": "relay", "name": "x", "host": "relay.example", "port": 587, "user": "x", "pass": "y"}


async def asked(engine: Engine, caller: Caller) -> list[tuple[str, str, Any]]:
    """Requests, in an order in which all of them are good."""
    deliver(engine)
    message = (await engine.event("acme", "messageNew"))["data"]
    draft = {"path": "Drafts", "flags": ["\\Draft"], "to": {"address": "x@x.example"}}
    stored = (await caller.ask("POST", "/v1/account/acme/message", draft)).json["id"]
    mailbox = message_ids.read_message(message["id"]).mailbox
    queued = {to: (await engine.submit("acme", f"{to}@x.example"))["queueId"] for to in ("you", "reject+you")}
    waiting = (await engine.submit("acme", "you@x.example", sendAt="2027-06-01T00:00:00Z"))["queueId"]
    with_file = {"content": "aGk=", "filename": "hi.bin"}
    await engine.until_ended(
        (await engine.submit("acme", "you@x.example", text="x", attachments=[with_file]))["queueId"]
    )
    await engine.until_ended(*queued.values())
    caught = next(reversed(engine.sandbox.caught))
    hook = (await caller.ask("POST", "/v1/webhooks", {**HOOK, "filter": "data.rejected"})).json["id"]
    app = (await caller.ask("POST", "/v1/oauth2", {**APP, "redirectUrl": "https://x.example/oauth"})).json["id"]
    template = (await caller.ask("POST", "/v1/templates/template", TEMPLATE)).json["id"]
    span = {"startDate": "2020-01-01", "endDate": "2040-01-01", "includeAttachments": True}
    export = (await caller.ask("POST", "/v1/account/acme/export", span)).json["exportId"]
    await engine.event("acme", "exportCompleted")
    issued = engine.sandbox.oauth.grant("third@sandbox.example")
    granted = {"auth": {"user": issued.family.user}, "accessToken": issued.access_token, "expires": "2099-01-01"}
    token = tokens.find(engine.context.store.reader, caller.token, 0)
    assert token is not None
    issued_too = (await caller.ask("POST", "/v1/tokens", {"description": "x", "scopes": ["api"]})).json["token"]
    other = tokens.find(engine.context.store.reader, issued_too, 0)
    assert other is not None
    return [
        ("POST", "/v1/account", {"account": "second", "name": "x", "copy": None, **SERVERS}),
        ("PUT", "/v1/account/second", {"name": "y", "path": ["INBOX", "Sent"], "webhooks": "http://127.0.0.1:9/"}),
        ("GET", "/v1/account/second?quota=true", None),
        ("POST", "/v1/suppression", {"recipient": "nobody@x.example"}),
        ("GET", "/v1/suppression", None),
        ("DELETE", "/v1/suppression?recipient=nobody@x.example", None),
        ("GET", "/v1/account/second/quota", None),
        ("PUT", "/v1/account/second/quota", {"reopen": True}),
        ("GET", "/v1/account/acme", None),
        ("GET", "/v1/accounts?query=acme", None),
        ("GET", "/v1/account/acme/mailboxes?counters=true", None),
        ("POST", "/v1/account/acme/mailbox", {"path": ["Clients", "Ärzte"]}),
        ("PUT", "/v1/account/acme/mailbox", {"path": "Clients", "newPath": "Customers", "subscribed": True}),
        ("DELETE", "/v1/account/acme/mailbox?path=Customers", None),
        ("GET", "/v1/account/acme/messages?path=INBOX", None),
        ("POST", "/v1/account/acme/search?path=*", {"search": {"from": "alice", "unseen": True}}),
        ("GET", f"/v1/account/acme/message/{message['id']}?webSafeHtml=true", None),
        ("GET", f"/v1/account/acme/message/{message['id']}/source", None),
        ("GET", f"/v1/account/acme/text/{message['text']['id']}", None),
        ("GET", f"/v1/account/acme/attachment/{message['attachments'][0]['id']}", None),
        ("PUT", f"/v1/account/acme/message/{message['id']}", {"flags": {"add": ["\\Seen"]}, "labels": {"add": "x"}}),
        ("PUT", "/v1/account/acme/messages?path=INBOX", {"search": {}, "update": {"flags": {"delete": "\\Seen"}}}),
        ("PUT", f"/v1/account/acme/message/{message['id']}/move", {"path": "INBOX"}),
        ("PUT", "/v1/account/acme/messages/move?path=INBOX", {"search": {"uid": "2:*"}, "path": "INBOX"}),
        ("DELETE", f"/v1/account/acme/message/{message_ids.message_id(mailbox, 3)}", None),
        (
            "POST",
            "/v1/account/acme/message",
            {"path": "Drafts", "flags": ["\\Draft"], "to": {"address": "x@x.example"}},
        ),
        ("POST", f"/v1/account/acme/message/{stored}/submit", {}),
        ("PUT", "/v1/account/acme/messages/delete?path=Trash", {"search": {"unseen": True}}),
        *(("PUT", f"/v1/account/acme/{each}", {each: True}) for each in ("sync", "flush", "reconnect")),
        ("GET", "/v1/logs/acme", None),
        ("GET", "/v1/stats", None),
        ("GET", "/metrics", None),
        ("POST", "/v1/account/acme/export", span),
        ("GET", "/v1/account/acme/exports", None),
        ("GET", f"/v1/account/acme/export/{export}", None),
        ("GET", f"/v1/account/acme/export/{export}/download", None),
        ("DELETE", f"/v1/account/acme/export/{export}", None),
        ("GET", "/v1/account/acme/server-signatures", None),
        ("POST", "/v1/verifyAccount", {"mailboxes": True, **SERVERS}),
        ("GET", "/v1/autoconfig?email=x@gmail.com", None),
        ("POST", "/v1/account/acme/submit", {"to": [{"address": "x@x.example"}]}),
        ("POST", "/v1/account/acme/submit", {"to": [{"address": "x@x.example"}], "dryRun": True}),
        ("POST", "/v1/gateway", GATEWAY),
        ("PUT", "/v1/gateway/edit/relay", {"name": "x", "pass": "y"}),
        ("GET", "/v1/gateway/relay", None),
        ("GET", "/v1/gateways", None),
        ("POST", "/v1/account/acme/submit", {"to": [{"address": "x@x.example"}], "gateway": "relay"}),
        ("DELETE", "/v1/gateway/relay", None),
        ("POST", "/v1/blocklist/news", {"account": "acme", "recipient": "Ann@x.example", "reason": "bounced"}),
        ("GET", "/v1/blocklist/news", None),
        ("GET", "/v1/blocklists", None),
        ("DELETE", "/v1/blocklist/news?recipient=ann@x.example", None),
        ("POST", "/v1/templates/template", TEMPLATE),
        ("PUT", f"/v1/templates/template/{template}", {"name": "x"}),
        ("GET", f"/v1/templates/template/{template}", None),
        ("POST", f"/v1/templates/template/{template}/preview", {"params": {"a": "x"}}),
        ("GET", "/v1/templates?account=acme", None),
        ("POST", "/v1/account/acme/submit", {"to": [{"address": "x@x.example"}], "template": template}),
        ("DELETE", f"/v1/templates/template/{template}", None),
        ("DELETE", "/v1/templates/account/acme?force=true", None),
        ("GET", "/v1/outbox?state=failed", None),
        *(("GET", f"/v1/outbox/{each}", None) for each in (*queued.values(), waiting)),
        *(("GET", f"/v1/outbox/{each}/timeline", None) for each in (*queued.values(), waiting)),
        ("PUT", f"/v1/outbox/{waiting}", {"onDoubt": "fail"}),
        ("DELETE", f"/v1/outbox/{waiting}", None),
        ("GET", "/v1/settings/queue/submit?account=acme", None),
        ("PUT", "/v1/settings/queue/submit", {"paused": False, "account": "acme"}),
        ("POST", "/v1/settings", {"serviceUrl": "https://mail.example.com"}),
        (
            "POST",
            "/v1/authentication/form",
            {"redirectUrl": "https://x.example/", "path": "INBOX"},
        ),
        ("POST", "/v1/settings", {"webhooks": "http://127.0.0.1:9/", "webhooksCustomHeaders": HOOK["headers"]}),
        ("GET", "/v1/settings?" + "&".join(f"{name}=true" for name in SETTINGS.split()), None),
        ("POST", "/v1/sandbox/script", {"account": "acme", "steps": [{"fault": "refused"}], "advance": 1}),
        ("GET", "/v1/sandbox/script?account=acme&wait=5", None),
        ("DELETE", "/v1/sandbox/script?account=acme", None),
        ("GET", "/v1/sandbox/messages?account=acme", None),
        ("GET", "/v1/sandbox/messages", None),
        *(("GET", f"/v1/sandbox/messages/{caught}{rest}", None) for rest in ("", "/source", "/attachments/2")),
        ("DELETE", "/v1/sandbox/messages", None),
        ("GET", "/v1/events", None),
        ("GET", "/v1/events?before=9", None),
        ("GET", "/v1/events/sse", None),
        ("GET", "/v1/changes", None),
        ("PUT", "/v1/events/consumers/mine", {"seq": 1}),
        ("GET", "/v1/events/consumers/mine", None),
        ("GET", "/v1/events/consumers", None),
        ("DELETE", "/v1/events/consumers/mine", None),
        ("POST", "/v1/webhooks", HOOK),
        ("PUT", f"/v1/webhooks/{hook}", {"description": "x"}),
        ("GET", f"/v1/webhooks/{hook}", None),
        ("GET", "/v1/webhooks", None),
        ("GET", "/v1/webhookRoutes", None),
        ("GET", f"/v1/webhookRoutes/webhookRoute/{hook}", None),
        ("POST", f"/v1/webhooks/{hook}/test", None),
        ("POST", "/v1/webhooks/try", {"seq": 1, "filter": "data.account", "map": "{is: event}"}),
        ("POST", f"/v1/webhooks/{hook}/replay", REPLAY),
        ("GET", f"/v1/webhooks/{hook}/parked", None),
        ("POST", f"/v1/webhooks/{hook}/parked", {"action": "skip"}),
        ("DELETE", f"/v1/webhooks/{hook}", None),
        ("POST", "/v1/oauth2", APP),
        ("GET", "/v1/oauth2", None),
        ("PUT", f"/v1/oauth2/{app}", {"title": "Sandbox", "imap": {"host": "sandbox.example", "port": 143}}),
        ("GET", f"/v1/oauth2/{app}", None),
        ("POST", f"/v1/oauth2/{app}/verify", {"account": "acme"}),
        ("POST", "/v1/settings", {"enableOAuthTokensApi": True}),
        ("POST", "/v1/account", {"account": "third", "name": "x", "oauth2": {"provider": app, **granted}}),
        ("GET", "/v1/account/third", None),
        ("GET", "/v1/account/third/oauth-token", None),
        ("PUT", "/v1/account/third", {"oauth2": {"partial": True, "accessToken": granted["accessToken"]}}),
        ("POST", "/v1/account", {"account": None, "name": "x", "oauth2": {"provider": app, **AUTHORIZE}}),
        ("DELETE", "/v1/account/third?revoke=true", None),
        ("DELETE", f"/v1/oauth2/{app}", None),
        ("DELETE", "/v1/account/second", None),
        ("POST", "/v1/tokens", {"description": "x", "scopes": ["api"], "account": "acme"}),
        ("GET", "/v1/tokens?query=x", None),
        ("GET", f"/v1/tokens/{other.id}", None),
        ("DELETE", f"/v1/tokens/{other.id}", None),
        ("GET", f"/v1/tokens/{token.id}/log", None),
    ]


async def test_every_operation_answers_what_it_declares(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    simulation = Simulation(tmp_path / "data", 4711)
    async with simulation.running() as engine:
        await engine.register("acme", logs=True)
        caller, seen = await Caller.of(engine), set()
        for method, target, body in await asked(engine, caller):
            answer = await caller.ask(method, target, body)
            assert answer.status == 200, (method, target, answer)
            seen.add(operation_at(method, target.partition("?")[0]))
        missed = [each.name for each in operations() if not each.websocket and each not in seen]
        assert not missed, f"say here how to ask for {', '.join(missed)}"


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b'{"sync": true, "more": 1}'),
        (200, b'{"sync": "true"}'),
        (200, b"{}"),
        (200, b"true"),
        (200, b"OK"),
        (503, b'{"sync": true}'),
        (400, b'{"statusCode": 400, "error": "Bad Request", "message": "x", "more": 1}'),
    ],
)
def test_what_is_not_declared_is_noticed(status: int, body: bytes) -> None:
    check("PUT", "/v1/account/acme/sync", 200, b'{"sync": true}')
    with pytest.raises(WrongAnswer):
        check("PUT", "/v1/account/acme/sync", status, body)
