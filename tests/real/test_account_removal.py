"""What goes with an account when it is removed: its tokens, positions, webhook endpoints and its own webhook URL."""

from __future__ import annotations

import sqlite3

import pytest
from real.engine_process import EngineProcess
from real.processes import wait_until
from real.webhook_receiver import WebhookReceiver

pytestmark = pytest.mark.process

LEFT = {
    "token": "account = 'gone'",
    "consumer": "owner = 'gone'",
    "webhook": "owner = 'gone'",
    "webhook_of_account": "account = 'gone'",
    "mailbox": "account = 'gone'",
    "message": "account = 'gone' AND ended IS NULL",
}
"""Rows there must be none of at the end."""


def test_everything_of_an_account_goes_with_it(engine: EngineProcess, webhook_receiver: WebhookReceiver) -> None:
    account = {"account": "gone", "name": "G", "email": "gone@sandbox.example", "sandbox": True}
    with WebhookReceiver() as own:
        settings = {"webhooks": webhook_receiver.url, "webhooksEnabled": True, "webhookEvents": ["*"]}
        assert engine.request("POST", "/v1/settings", settings).status == 200
        assert engine.request("POST", "/v1/account", {**account, "webhooks": own.url}).status == 200
        engine.wait_for_state("gone", "connected")
        wait_until(lambda: own.events("accountInitialized"), "the event at the account's own URL")
        token = engine.command("tokens", "issue", "-d", "one", "-s", "api", "--account", "gone").stdout.strip()
        hook = engine.request("POST", "/v1/webhooks", {"url": "https://hooks.invalid/"}, token=token)
        assert hook.status == 200, hook.body
        engine.request("PUT", "/v1/settings/queue/submit", {"paused": True})
        mail = {"to": {"address": "x@sandbox.example"}, "subject": "s", "text": "t"}
        queued = engine.request("POST", "/v1/account/gone/submit", mail, token=token).json["queueId"]

        assert engine.request("DELETE", "/v1/account/gone").json == {"account": "gone", "deleted": True}
        assert engine.request("GET", "/v1/account/gone", token=token).status == 401
        assert engine.request("GET", f"/v1/webhooks/{hook.json['id']}").status == 404
        assert engine.request("GET", f"/v1/outbox/{queued}").json["state"] == "cancelled"
        # As in EmailEngine, its last event finds no account and so no URL of its own.
        wait_until(lambda: webhook_receiver.events("accountDeleted"), "the last event at the URL of the settings")
        assert not own.events("accountDeleted")

        assert engine.request("POST", "/v1/account", account).status == 200
        engine.wait_for_state("gone", "connected")
        wait_until(
            lambda: [each for each in webhook_receiver.events("accountInitialized") if each["account"] == "gone"],
            "the new account's event at the URL of the settings",
        )
        assert len(own.events("accountInitialized")) == 1
        assert engine.request("GET", "/v1/account/gone", token=token).status == 401
        assert engine.request("DELETE", "/v1/account/gone").status == 200

    engine.terminate()
    with sqlite3.connect(engine.folder / "journal.db") as db:
        for table, which in LEFT.items():
            assert db.execute(f"SELECT count(*) FROM {table} WHERE {which}").fetchone() == (0,), table
    db.close()
