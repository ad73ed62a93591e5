"""Accounts that sign in at a real provider, read from a real Dovecot and send through a real Postfix with its tokens.

Access tokens live for eight seconds, so that a test sees several.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from real.certificates import Certificates
from real.dovecot import DOMAIN
from real.engine_process import EngineProcess
from real.oidc_provider import BACK, OAuthDovecot, OidcProvider, sign_in
from real.postfix import Postfix
from real.processes import wait_until
from real.servers import ServerMissing, private_folder

from engine.isotime import iso

pytestmark = pytest.mark.real


class At:
    """An engine, the provider, both mail servers, and the app."""

    def __init__(self, engine: EngineProcess, provider: OidcProvider, dovecot: OAuthDovecot, postfix: Postfix) -> None:
        self.engine = engine
        self.provider = provider
        self.dovecot = dovecot
        app = {
            "name": "Own",
            "provider": "oidc",
            "enabled": True,
            "issuer": provider.url,
            "clientId": "engine",
            "clientSecret": "s3cret",
            "extraScopes": ["mail"],
            "imap": {"host": dovecot.plain_host, "port": dovecot.plain_port, "secure": False},
            "smtp": {"host": postfix.host, "port": postfix.plain_port, "secure": False},
        }
        self.ask("POST", "/v1/settings", {"serviceUrl": engine.url})
        self.app = self.ask("POST", "/v1/oauth2", app)["id"]

    def ask(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        answer = self.engine.request(method, path, body)
        assert answer.status == 200, answer
        return dict(answer.json)

    def connect(self, name: str) -> str:
        """Have somebody sign in for an account and wait until it is connected; its address."""
        address, _ = self.dovecot.user(name)
        oauth2 = {"provider": self.app, "auth": {"user": address}, "authorize": True, "redirectUrl": BACK}
        given = {"account": name, "name": name, "oauth2": oauth2}
        told = sign_in(self.ask("POST", "/v1/account", given)["redirect"], address)
        assert told["account"] == name
        self.engine.wait_for_state(name, "connected")
        return address

    def send(self, account: str, to: str) -> str:
        given = {"to": [{"address": to}], "subject": "Hello", "text": "Hi"}
        return str(self.ask("POST", f"/v1/account/{account}/submit", given)["queueId"])

    def entry(self, queue_id: str) -> dict[str, Any]:
        return self.ask("GET", f"/v1/outbox/{queue_id}")

    def names(self, account: str) -> list[str]:
        """Its events so far; of new mail, that in the inbox."""
        events = self.ask("GET", f"/v1/events?account={account}&limit=1000")["events"]
        return [each["event"] for each in events if each["event"] != "messageNew" or each["path"] == "INBOX"]

    def wait_for_events(self, accounts: Sequence[str], name: str, count: int, timeout: float = 60) -> None:
        def there() -> bool:
            return all(self.names(each).count(name) >= count for each in accounts)

        wait_until(there, f"{count} {name}", timeout=timeout)

    def wait_for_hold(self, queue_id: str, kind: str) -> None:
        wait_until(lambda: (self.entry(queue_id)["waitingFor"] or {}).get("kind") == kind, "mail waits")

    def wait_for_refresh(self, *accounts: str) -> None:
        """Return once each has a newer token than now, which then is on disk.

        The provider counts one before that: killed in between, an account would have lost its grant at a provider that
        takes a used refresh token for theft, whatever the engine does.
        """
        before = {each: self.generated(each) for each in accounts}
        wait_until(lambda: all(self.generated(each) > before[each] for each in accounts), "refreshes")

    def generated(self, account: str) -> str:
        return str(self.ask("GET", f"/v1/account/{account}")["oauth2"]["generated"])


@pytest.fixture
def at(start_engine: Callable[..., EngineProcess], certificates: Certificates, relay: Any) -> Iterator[At]:
    engine = start_engine()
    with private_folder("oidc") as first, private_folder("dovecot") as second, private_folder("postfix") as third:
        try:
            provider = OidcProvider(first, f"{engine.url}/oauth")
        except ServerMissing as missing:
            pytest.skip(f"oidc-provider left out: {missing}")
        dovecot = OAuthDovecot(second, certificates, provider)
        postfix = Postfix(third, certificates, dovecot, relay.port)
        try:
            dovecot.start()
            postfix.start()
            yield At(engine, provider, dovecot, postfix)
        finally:
            postfix.stop()
            dovecot.stop()
            provider.stop()


def test_tokens_of_seconds_are_renewed_rotated_and_survive_kills(at: At) -> None:
    ann, bob = at.connect("ann"), at.connect("bob")
    for rounds in range(1, 5):
        at.send("ann", bob)
        at.send("bob", ann)
        at.wait_for_events(("ann", "bob"), "messageSent", rounds)
        at.wait_for_refresh("ann", "bob")
        at.engine.kill9()
        at.engine.start()
        for name in ("ann", "bob"):
            at.engine.wait_for_state(name, "connected")
    at.wait_for_events(("ann", "bob"), "messageNew", 4)
    for name in ("ann", "bob"):
        names = at.names(name)
        assert names.count("messageSent") == 4 and names.count("messageNew") == 4
        assert "authenticationError" not in names and "messageDeliveryError" not in names
    assert at.provider.control("")["refused"] == 0, "no rotated token was used again"


def test_a_revoked_sign_in_is_told_once_and_mail_waits_for_the_next(at: At) -> None:
    ann = at.connect("ann")
    at.provider.control(f"revoke/{ann}")
    shown = at.engine.wait_for_state("ann", "authenticationError")
    sent = at.send("ann", f"else@{DOMAIN}")
    at.wait_for_hold(sent, "login")
    entry = at.entry(sent)
    assert entry["attemptsMade"] == 0 and entry["waitingFor"]["kind"] == "login"
    assert shown["lastError"]["tokenRequest"]["code"] == "invalid_grant" and shown["lastError"]["reauthUrl"]
    at.engine.kill9()
    at.engine.start()
    shown = at.engine.wait_for_state("ann", "authenticationError")
    asked = at.provider.control("")["requests"]
    at.provider.control("forgive")
    assert sign_in(shown["lastError"]["reauthUrl"], ann)["state"] == "existing"
    at.engine.wait_for_state("ann", "connected")
    at.wait_for_events(["ann"], "messageSent", 1)
    names = at.names("ann")
    assert names.count("authenticationError") == 1 and "messageDeliveryError" not in names
    assert at.provider.control("")["requests"] <= asked + 2, "nothing was asked while the grant was gone"


def test_a_provider_that_is_down_costs_no_message(at: At) -> None:
    ann = at.connect("ann")
    at.provider.control("down/true")
    wait_until(lambda: at.ask("GET", "/v1/account/ann")["oauth2"]["expires"] < iso(time.time()), "end of the token")
    assert at.ask("GET", "/v1/account/ann")["state"] == "connected", "what is open stays open"
    at.ask("PUT", "/v1/account/ann/reconnect", {"reconnect": True})
    shown = at.engine.wait_for_state("ann", "connectError")
    assert shown["lastError"]["tokenRequest"]["status"] == 503
    sent = at.send("ann", ann)
    at.wait_for_hold(sent, "connection")
    assert at.entry(sent)["attemptsMade"] == 0
    at.provider.control("down/false")
    at.wait_for_events(["ann"], "messageNew", 1, timeout=90)
    names = at.names("ann")
    assert "authenticationError" not in names and "messageDeliveryError" not in names
    assert names.count("connectError") == 1 and names.count("messageSent") == 1
