"""`engine import emailengine`: what stays behind and why, and what keeps anything from coming."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import msgspec
import pytest
from real.certificates import Certificates
from real.emailengine_data import APP, EmailEngine, everything
from real.import_folder import Folder, ImportCommand
from real.redis_server import DATABASE, RedisServer
from real.servers import HOST, free_ports

from engine.errors import leaves
from engine.model.webhook import EndpointSettings
from engine.store import audit, blocklists, templates, tokens, webhooks
from engine.store.sealed import endpoint_field


@pytest.mark.parametrize(
    ("secret", "words"), [("another one", "the secret is not the one"), (None, "EmailEngine has encrypted its secrets")]
)
def test_a_wrong_secret_brings_nothing(
    there: EmailEngine, run: ImportCommand, folder: Folder, secret: str | None, words: str
) -> None:
    everything(there)
    done = run("--create", secret=secret)
    assert (done.code, done.output) == (1, "")
    assert words in done.said
    assert not folder.path.exists()


def test_an_unknown_form_of_encryption_is_named(there: EmailEngine, run: ImportCommand) -> None:
    there.account("jane", name="Jane", proxy="$wd02$aes-256-gcm$00$00$00$00")
    done = run("--create")
    assert done.code == 1
    assert "encrypts in a form that is not known here (wd02)" in done.said


def test_one_text_of_another_secret_costs_its_account(there: EmailEngine, run: ImportCommand) -> None:
    there.account("jane", name="Jane", smtp=there.password("smtp.example.com", 465, "jane", "a"))
    there.secret = "an older secret"
    there.account("old", name="Old", smtp=there.password("smtp.example.com", 465, "old", "b"))
    done = run("--create")
    assert done.result("account", "jane") == ("new", None)
    assert done.result("account", "old") == (
        "refused",
        "smtp.auth.pass: was encrypted with another secret, or is damaged",
    )


def test_what_is_no_redis_or_no_emailengine(redis_server: RedisServer, run: ImportCommand) -> None:
    (port,) = free_ports(1)
    done = run("--create", url=f"redis://:hunter2@{HOST}:{port}/8")
    assert done.code == 1 and f"Redis at {HOST}:{port}/8 cannot be reached" in done.said
    assert "hunter2" not in done.said
    assert "--redis must look like" in run("--create", url="http://localhost/").said
    redis_server.run("SET", "something", "else")
    done = run("--create")
    assert done.code == 1 and f"has no data of an EmailEngine; databases with data there: {DATABASE}." in done.said
    done = run("--create", url=redis_server.url.replace(f"/{DATABASE}", "/0"))
    assert done.code == 1 and f"databases with data there: {DATABASE}" in done.said
    done = run("--create", "--prefix", "other")
    assert done.code == 1 and "has no data of an EmailEngine with the prefix 'other'" in done.said


def test_a_redis_that_asks_for_a_login(redis_server: RedisServer, there: EmailEngine, run: ImportCommand) -> None:
    everything(there)
    redis_server.run("CONFIG", "SET", "requirepass", "open sesame")
    try:
        done = run("--create")
        assert done.code == 1 and "refuses the login" in done.said
        done = run("--create", url=redis_server.url.replace("redis://", "redis://:open%20sesame@"))
        assert done.code == 0 and "sesame" not in done.output + done.said
    finally:
        redis_server.run_as("open sesame", "CONFIG", "SET", "requirepass", "")


def test_tls_needs_a_trusted_certificate(
    redis_server: RedisServer,
    there: EmailEngine,
    run: ImportCommand,
    certificates: Certificates,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    there.account("jane", name="Jane", smtp=False)
    done = run("--create", url=redis_server.tls_url)
    assert done.code == 1 and "cannot be reached" in done.said
    (tmp_path / "ca.pem").write_text(certificates.ca_pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    assert run("--create", url=redis_server.tls_url).result("account", "jane") == ("new", None)
    done = run("--create", url=redis_server.tls_url.replace(HOST, "127.0.0.2"))
    assert done.code == 1 and "cannot be reached" in done.said


def test_a_folder_without_an_engine_is_not_made_by_mistake(there: EmailEngine, run: ImportCommand) -> None:
    there.account("jane", name="Jane", smtp=False)
    done = run()
    assert done.code == 1 and "there is no such folder" in done.said and "--create" in done.said


def test_bad_accounts_cost_only_themselves(redis_server: RedisServer, there: EmailEngine, run: ImportCommand) -> None:
    everything(there)
    there.account("port", name="Port", imap=there.password("imap.example.com", 70000, "u", "p"))
    there.account("json", name="Json", imap="{")
    redis_server.run("SADD", "ia:accounts", "gone")
    there.account("api", name="Api", oauth2={"provider": "graph", "auth": {"user": "a@example.com"}})
    there.app("graph", provider="outlook", name="Graph", clientId="c", baseScopes="api", enabled=True)
    there.account("lost", name="Lost", oauth2={"provider": "none", "auth": {"user": "a@example.com"}})
    there.account("lent", name="Lent", oauth2={"provider": "none", "auth": {"delegatedAccount": "jane"}})
    there.account("twin", name="Twin", oauth2=_oauth2("ms@example.com"), state="init")
    there.account("other", name="Other", oauth2=_oauth2("other@example.com"))
    done = run("--create")
    reasons = {id: item["reason"] for (kind, id), item in done.items.items() if kind == "account" and item["reason"]}
    no_api = "baseScopes must be imap: the engine reads accounts over IMAP, not through the provider's own API"
    assert reasons == {
        "api": f"its OAuth2 app graph does not come: {no_api}",
        "gone": "its record is missing",
        "json": "imap: cannot be read",
        "lent": "oauth2.auth.delegatedAccount is not supported: register it with tokens of its own",
        "lost": "its OAuth2 app none does not come: there is none with this id",
        "port": "imap.port must be a valid port",
        "twin": "the account ms signs in to the same mailbox through the same app",
    }


def _oauth2(user: str) -> dict[str, Any]:
    auth = {"user": user} | ({"delegatedUser": "shared@example.com"} if user.startswith("ms") else {})
    return {"provider": APP, "auth": auth, "refreshToken": f"of {user}"}


def test_other_bad_records_cost_only_themselves(
    redis_server: RedisServer, there: EmailEngine, run: ImportCommand, folder: Folder
) -> None:
    everything(there)
    there.template("bad", {"html": "{{#if}"})
    there.template("whose", {"html": "x"}, account="jane")
    redis_server.hash("tpl::c", {"bad2:meta": b"\xc1", "bad2:content": b"\xc1"})
    redis_server.run("SADD", "tpl::i", "bad2")
    there.gateway("bad", name="Bad", host="no host", port=25)
    there.token(b"r" * 32, scopes=["api"], restrictions={"addresses": ["nowhere"]})
    there.token(b"p" * 32, scopes=["api"], permissions={"grants": [{"action": "read"}]})
    there.token(b"m" * 32, scopes=["imap-proxy"])
    there.token(b"n" * 32, scopes=["api"], account="nobody")
    there.setting("deliveryAttempts", 100_000)
    there.setting("smtpServerPort", 2525)
    there.setting("scriptEnv", "{}")
    there.setting("unheardOf", True)
    there.setting("sentryEnabled", False)
    there.blocked("newsletter", "no address", account="jane")
    redis_server.hash("lists:unsub:entries:other", {"bob@example.com": "{"})
    redis_server.hash("lists:unsub:lists", {"other": "1"})
    done = run("--create")
    assert done.code == 0
    assert "content.html is no template" in str(done.result("template", "bad")[1])
    assert done.result("template", "bad2") == ("refused", "its record cannot be read")
    assert done.result("template", "whose") == ("new", None)
    assert done.result("gateway", "bad")[1] == "host must be a valid hostname"
    refused = {item["reason"] for (kind, _), item in done.items.items() if kind == "token" and item["reason"]}
    assert refused == {
        "restrictions.addresses[0] must be a valid ip address, perhaps with a CIDR",
        "permissions.grants is not allowed; permissions must have actions or groups",
        "there is no scope imap-proxy here",
        "it is for the account nobody, which does not come",
    }
    assert len(folder.read(tokens.every)) == 2
    assert done.result("setting", "deliveryAttempts")[0] == "refused"
    assert done.result("setting", "smtpServerPort")[1] == "is set by port in the section [msa] of config.toml"
    assert done.result("setting", "scriptEnv")[0] == "refused"
    assert done.result("setting", "unheardOf") == ("refused", "there is no such setting here")
    assert ("setting", "sentryEnabled") not in done.items
    assert done.items["blocklist", "newsletter"]["notes"][0] == "1 entry"
    assert done.items["blocklist", "newsletter"]["notes"][1].startswith("no address does not come: recipient must be")
    assert done.result("blocklist", "other") == ("refused", "it has no entries")
    assert folder.read(lambda db: blocklists.lists(db, "", 0, 9))[1] == [("newsletter", 1)]
    assert folder.read(lambda db: templates.count(db, None)) == 1


@pytest.mark.parametrize(
    ("content", "events", "enabled"),
    [
        ({"fn": "return true;"}, None, True),
        ({"fn": "/* all\nof them */\nreturn true"}, None, True),
        ({"fn": 'return payload.event === "messageNew";'}, ("messageNew",), True),
        ({"fn": "return (payload.event == 'messageSent' || payload.event == 'messageFailed')"}, ("messageSent",), True),
        ({"fn": "return payload.event === 'noSuchEvent'"}, None, False),
        ({"fn": "return payload.event !== 'messageNew'"}, None, False),
        ({"fn": "return payload.event === 'messageNew' && payload.path === 'INBOX'"}, None, False),
        ({"fn": "if (payload.event === 'messageNew') return true;"}, None, False),
        ({"fn": "return true", "map": "payload.x = 1; return payload"}, None, False),
        ({}, None, False),
    ],
)
def test_filters_of_routes(
    there: EmailEngine,
    run: ImportCommand,
    folder: Folder,
    content: dict[str, str],
    events: tuple[str, ...] | None,
    enabled: bool,
) -> None:
    there.account("jane", name="Jane", smtp=False)
    there.route("route", content, targetUrl="https://hooks.example.com/", customHeaders=[])
    done = run("--create")
    (row,) = folder.read(webhooks.every)
    text = folder.vault.open("", endpoint_field("route"), row.record.decode())
    record = msgspec.json.decode(text, type=EndpointSettings)
    assert record.enabled is enabled
    assert (record.events or ())[:1] == (events or ())
    notes = " ".join(done.items["webhook route", "route"]["notes"])
    assert enabled is ("switched off" not in notes)


def test_what_is_queued_is_told(redis_server: RedisServer, there: EmailEngine, run: ImportCommand) -> None:
    there.account("jane", name="Jane", smtp=False)
    redis_server.run("RPUSH", "bull:submit:wait", "1", "2")
    redis_server.run("ZADD", "bull:submit:delayed", "1", "3")
    redis_server.run("RPUSH", "bull:notify:wait", "1")
    items = run("--dry-run").items
    assert ("left behind", "3 queued messages") in items and ("left behind", "1 waiting webhooks") in items


def test_nothing_is_half_done(
    there: EmailEngine, run: ImportCommand, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    everything(there)
    left = [9]

    def fails(db: Any, entry: audit.Entry, add: Any = audit.add) -> None:
        left[0] -= 1
        if left[0] == 0:
            raise sqlite3.OperationalError("the disk is gone")
        add(db, entry)

    monkeypatch.setattr(audit, "add", fails)
    with pytest.raises(ExceptionGroup) as failed:
        run("--create")
    assert [str(each) for each in leaves(failed.value)] == ["the disk is gone"]
    monkeypatch.undo()
    assert folder.names() == []
    assert folder.read(tokens.every) == []
