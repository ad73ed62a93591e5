from __future__ import annotations

from typing import Any

import msgspec
import pytest

from engine.accounts import record as records
from engine.errors import ConfigError
from engine.schema.account import AccountCreate, AccountUpdate
from engine.store.vault import Vault
from engine.world import World

IMAP = {"host": "imap.a.example", "port": 993, "secure": True, "auth": {"user": "me", "pass": "imap-secret"}}
SMTP = {"host": "smtp.a.example", "port": 587, "auth": {"user": "me", "accessToken": "smtp-token"}}


def account(**members: Any) -> AccountCreate:
    return msgspec.convert(
        {"account": "acme", "name": "Acme", "email": "me@a.example", "imap": IMAP, "smtp": SMTP, **members},
        AccountCreate,
    )


def update(**members: Any) -> AccountUpdate:
    return msgspec.convert(members, AccountUpdate)


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


def test_a_secret_moved_to_another_account_or_server_does_not_open(vault: Vault) -> None:
    moved = msgspec.json.decode(records.seal(account(), vault))
    moved["account"] = "other"
    with pytest.raises(ConfigError):
        records.unseal(msgspec.json.encode(moved), vault)
    moved = msgspec.json.decode(records.seal(account(), vault))
    moved["smtp"]["auth"] = moved["imap"]["auth"]
    with pytest.raises(ConfigError):
        records.unseal(msgspec.json.encode(moved), vault)


def test_another_key_opens_no_record(vault: Vault) -> None:
    with pytest.raises(ConfigError, match="acme"):
        records.unseal(records.seal(account(), vault), Vault(b"q" * 32, World()))


def test_registered_again_replaces_what_is_given_and_keeps_the_rest() -> None:
    again = msgspec.convert({"account": "acme", "name": "New"}, AccountCreate)
    after = records.registered_again(account(), again)
    assert after.name == "New"
    assert after.email == "me@a.example"
    assert after.imap == account().imap
    assert after.account == "acme"


def test_a_partial_update_keeps_the_password() -> None:
    after = records.updated(account(), update(imap={"partial": True, "port": 143, "secure": False}))
    endpoint = records.imap_endpoint(after)
    assert endpoint is not None
    assert (endpoint.host, endpoint.port, endpoint.secure) == ("imap.a.example", 143, False)
    assert endpoint.credentials.password == "imap-secret"
    assert after.smtp == account().smtp


def test_a_whole_update_must_be_whole() -> None:
    with pytest.raises(ValueError, match=r"^imap\."):
        records.updated(account(), update(imap={"port": 143}))
    with pytest.raises(ValueError, match=r"^smtp\."):
        records.updated(account(smtp=False), update(smtp={"partial": True, "port": 25}))


def test_a_server_can_be_removed() -> None:
    after = records.updated(account(), update(smtp=False))
    assert records.smtp_endpoint(after) is None
    after = records.updated(account(), update(imap=False))
    assert records.imap_endpoint(after) is None
    assert not records.has_imap(after)


def test_an_empty_update_changes_nothing() -> None:
    assert records.updated(account(), update()) == account()


def test_the_login_goes_where_it_belongs() -> None:
    imap, smtp = records.imap_endpoint(account()), records.smtp_endpoint(account())
    assert imap is not None and smtp is not None and smtp.credentials is not None
    assert (imap.credentials.password, imap.credentials.access_token) == ("imap-secret", None)
    assert (smtp.credentials.password, smtp.credentials.access_token) == (None, "smtp-token")


def test_a_disabled_mailbox_is_not_connected_to() -> None:
    assert records.imap_endpoint(account(imap={**IMAP, "disabled": True})) is None


def test_a_sandbox_account_has_servers_of_its_own() -> None:
    record = msgspec.convert(
        {"account": "box", "name": "Box", "email": "box@sandbox.example", "sandbox": True}, AccountCreate
    )
    imap, smtp = records.imap_endpoint(record), records.smtp_endpoint(record)
    assert imap is not None and smtp is not None and smtp.credentials is not None
    assert imap.credentials.user == smtp.credentials.user == "box@sandbox.example"
    assert records.is_sandbox(record) and records.has_imap(record)


class TestRestricted:
    """Which servers were named with a token for one account."""

    def after(self, given: AccountUpdate, was: frozenset[str] = frozenset(), *, narrowed: bool) -> frozenset[str]:
        before = account()
        return records.restricted(given, before, records.updated(before, given), was=was, narrowed=narrowed)

    def test_a_new_account(self) -> None:
        for narrowed, servers in ((True, {"imap", "smtp"}), (False, set())):
            given = account()
            assert records.restricted(given, None, given, was=frozenset(), narrowed=narrowed) == servers

    @pytest.mark.parametrize(
        ("imap", "restricted"),
        [
            ({**IMAP, "host": "127.0.0.1"}, True),
            ({**IMAP, "port": 22}, True),
            ({"partial": True, "host": "127.0.0.1"}, True),
            ({"partial": True, "port": 22}, True),
            (IMAP, False),
            ({"partial": True, "auth": {"user": "me", "pass": "new"}}, False),
        ],
    )
    def test_moving_a_server_restricts_it(self, imap: dict[str, Any], restricted: bool) -> None:
        assert self.after(update(imap=imap), narrowed=True) == ({"imap"} if restricted else set())
        assert self.after(update(imap=imap), narrowed=False) == set()

    def test_it_stays_until_a_trusted_caller_names_the_server(self) -> None:
        was = frozenset({"imap"})
        assert self.after(update(name="x"), was, narrowed=False) == was
        assert self.after(update(imap={"partial": True, "secure": True}), was, narrowed=False) == was
        assert self.after(update(imap={**IMAP, "host": "other.example"}), was, narrowed=False) == set()
        assert self.after(update(imap=IMAP), was, narrowed=True) == was
