"""An account that only reads a real Dovecot sends through a gateway, a real Postfix with TLS and a login of its own."""

from __future__ import annotations

from typing import Any

import pytest
from real.dovecot import Dovecot
from real.engine_process import EngineProcess
from real.postfix import Postfix
from real.processes import wait_until
from real.servers import HOST

pytestmark = [pytest.mark.real, pytest.mark.process]

ENTRIES = 20


def test_a_merge_goes_through_a_gateway(start_engine: Any, dovecot: Dovecot, postfix: Postfix) -> None:
    engine: EngineProcess = start_engine()
    reader, password = dovecot.user()
    sender, secret = dovecot.user()
    tls = {"ca": dovecot.ca_pem}
    gateway = {"gateway": "relay", "name": "Relay", "host": HOST, "port": postfix.port, "user": sender, "tls": tls}
    assert engine.request("POST", "/v1/gateway", {**gateway, "pass": "wrong"}).status == 200
    imap = {"host": HOST, "port": dovecot.tls_port, "secure": True, "tls": tls}
    given = {"account": "acme", "name": "Jane", "email": reader, "smtp": False}
    answer = engine.request(
        "POST", "/v1/account", {**given, "imap": {**imap, "auth": {"user": reader, "pass": password}}}
    )
    assert answer.status == 200, answer.body
    engine.wait_for_state("acme", "connected")
    local, _, domain = reader.partition("@")
    entries = [{"to": {"name": f"Nö {n}", "address": f"{local}+{n}@{domain}"}} for n in range(ENTRIES)]
    merge = {"subject": "through", "text": "Grüße", "gateway": "relay", "mailMerge": entries}
    answer = engine.request("POST", "/v1/account/acme/submit", merge)
    assert answer.status == 200, answer.body
    results = answer.json["mailMerge"]

    def shown() -> Any:
        return engine.request("GET", "/v1/gateway/relay").json

    wait_until(lambda: shown()["lastError"] is not None, "the refused login")
    assert shown()["lastError"]["serverResponseCode"] == "535"
    assert engine.request("PUT", "/v1/gateway/edit/relay", {"pass": secret}).status == 200

    def told(name: str) -> list[dict[str, Any]]:
        events = engine.request("GET", f"/v1/events?account=acme&events={name}&limit=1000").json["events"]
        return [each["data"] for each in events]

    wait_until(lambda: len(told("messageSent")) == ENTRIES, "messageSent")
    assert {each["gateway"] for each in told("messageSent")} == {"relay"}
    assert (shown()["deliveries"], shown()["lastError"]) == (ENTRIES, None)
    wait_until(lambda: len(_arrived(told)) == ENTRIES, "messageNew")
    wanted = {each["messageId"]: (each["to"]["name"], each["to"]["address"]) for each in results}
    assert {each["messageId"]: (each["to"][0]["name"], each["to"][0]["address"]) for each in _arrived(told)} == wanted
    for file in engine.folder.rglob("*"):
        assert not file.is_file() or secret.encode() not in file.read_bytes(), file


def _arrived(told: Any) -> list[dict[str, Any]]:
    return [each for each in told("messageNew") if each["subject"] == "through" and each["path"] == "INBOX"]
