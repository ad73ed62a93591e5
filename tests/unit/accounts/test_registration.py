from __future__ import annotations

from typing import Any

import msgspec
import pytest

from engine.accounts import registration as records
from engine.model.registration import Registration, Unreadable, read
from engine.model.webhook import Header
from engine.store.vault import Vault
from engine.world import World

IMAP = {"host": "imap.a.example", "port": 993, "secure": True, "auth": {"user": "me", "pass": "imap-secret"}}
SMTP = {"host": "smtp.a.example", "port": 587, "auth": {"user": "me", "accessToken": "smtp-token"}}


UNVERSIONED = (
    b'{"account":"acme","name":"Acme","email":"me@a.example","path":["INBOX"],"copy":null,'
    b'"notifyFrom":"2026-01-02T03:04:05.678000Z","imapIndexer":"fast",'
    b'"imap":{"host":"imap.a.example","port":993,"secure":true,"auth":{"user":"me",'
    b'"pass":"v1.b1664b32.CZpxLv5r9byDGoYtkWwj8XmnOkcRg7B0UPljEFRFgvTooTqtpk8b"},'
    b'"tls":{"minVersion":"TLSv1.2"},"resyncDelay":900,"sentMailPath":null},'
    b'"smtp":{"host":"smtp.a.example","port":587,"secure":false,"auth":{"user":"me",'
    b'"accessToken":"v1.b1664b32.nia8d9TH0Pol9WaWGVCYKPGF93WmtKqMLk6px/GOevpEuIXp8eU="},'
    b'"tls":{"required":true},"rateLimit":{"messages":1,"seconds":2}},'
    b'"webhooks":"v1.b1664b32.6GtaBayIa2nKVYwqbjdKDuht5AkXdcG3pwf12jQ7vHhggy3T9CZosQs1h8U8Nytr",'
    b'"webhooksCustomHeaders":"v1.b1664b32.LJ0u6LrYHj4cq1B7TrY5y6npEkN9bK8S3koYXRJFuShZFgltaRK+g1cQUxLhcvcpBQK8Uv4="}'
)
"""As it was written before registrations had a version."""


def account(**members: Any) -> Registration:
    return read({"account": "acme", "name": "Acme", "email": "me@a.example", "imap": IMAP, "smtp": SMTP, **members})


@pytest.fixture
def vault() -> Vault:
    return Vault(b"k" * 32, World())


def test_what_was_sealed_is_the_same_again(vault: Vault) -> None:
    for record in (account(), account(imap=False), account(smtp=False)):
        assert records.unseal(records.seal(record, vault), vault) == record


def test_no_secret_is_stored_in_clear(vault: Vault) -> None:
    stored = records.seal(account(), vault)
    assert b"imap-secret" not in stored
    assert b"smtp-token" not in stored
    assert stored.count(b"v1.") == 2
    assert b"imap.a.example" in stored


def test_what_an_earlier_version_sealed_is_read(vault: Vault) -> None:
    record = records.unseal(UNVERSIONED, vault)
    imap, smtp = records.imap_endpoint(record), records.smtp_endpoint(record)
    assert imap is not None and smtp is not None and smtp.credentials is not None
    assert (imap.host, imap.port, imap.secure, imap.tls.min_version) == ("imap.a.example", 993, True, "TLSv1.2")
    assert (smtp.host, smtp.port, smtp.secure, smtp.tls.required) == ("smtp.a.example", 587, False, True)
    assert (imap.credentials.password, smtp.credentials.access_token) == ("imap-secret", "smtp-token")
    assert (record.webhooks, record.webhooks_custom_headers) == ("https://x.example/", (Header("a", "b"),))
    assert msgspec.json.decode(records.seal(record, vault)).keys() == msgspec.json.decode(UNVERSIONED).keys() | {
        "version"
    }


def test_a_secret_moved_to_another_account_or_server_does_not_open(vault: Vault) -> None:
    moved = msgspec.json.decode(records.seal(account(), vault))
    moved["account"] = "other"
    with pytest.raises(Unreadable):
        records.unseal(msgspec.json.encode(moved), vault)
    moved = msgspec.json.decode(records.seal(account(), vault))
    moved["smtp"]["auth"] = moved["imap"]["auth"]
    with pytest.raises(Unreadable):
        records.unseal(msgspec.json.encode(moved), vault)


def test_another_key_opens_no_record(vault: Vault) -> None:
    with pytest.raises(Unreadable, match="another key"):
        records.unseal(records.seal(account(), vault), Vault(b"q" * 32, World()))


def test_the_login_goes_where_it_belongs() -> None:
    imap, smtp = records.imap_endpoint(account()), records.smtp_endpoint(account())
    assert imap is not None and smtp is not None and smtp.credentials is not None
    assert (imap.credentials.password, imap.credentials.access_token) == ("imap-secret", None)
    assert (smtp.credentials.password, smtp.credentials.access_token) == (None, "smtp-token")


def test_a_disabled_mailbox_is_not_connected_to() -> None:
    assert records.imap_endpoint(account(imap={**IMAP, "disabled": True})) is None


def test_a_sandbox_account_has_servers_of_its_own() -> None:
    record = read({"account": "box", "name": "Box", "email": "box@sandbox.example", "sandbox": True})
    imap, smtp = records.imap_endpoint(record), records.smtp_endpoint(record)
    assert imap is not None and smtp is not None and smtp.credentials is not None
    assert imap.credentials.user == smtp.credentials.user == "box@sandbox.example"
    assert records.is_sandbox(record) and records.has_imap(record)


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"7", b"null", b"{}", b"\xff", b'{"account":"acme"', b"[" * 9000 + b"]" * 9000]
)
def test_what_is_no_registration_is_unreadable(vault: Vault, data: bytes) -> None:
    with pytest.raises(Unreadable):
        records.unseal(data, vault)
