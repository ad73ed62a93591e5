from __future__ import annotations

from typing import Any

import msgspec
import pytest

from engine.accounts import registration as records
from engine.schema.account import AccountCreate, AccountUpdate
from engine.schema.stored import Unreadable, read
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
    with pytest.raises(Unreadable):
        records.unseal(msgspec.json.encode(moved), vault)
    moved = msgspec.json.decode(records.seal(account(), vault))
    moved["smtp"]["auth"] = moved["imap"]["auth"]
    with pytest.raises(Unreadable):
        records.unseal(msgspec.json.encode(moved), vault)


def test_another_key_opens_no_record(vault: Vault) -> None:
    with pytest.raises(Unreadable, match="another key"):
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


def test_a_limit_that_was_tightened_since_does_not_count() -> None:
    built = msgspec.to_builtins(account())
    built.update(name="n" * 10_000, email="no address", path=("p" * 10_000,) * 5000, smtpEhloName="", tz="\n")
    built["imap"].update(port=0, host="", resyncDelay=-1, tls={"ca": "c" * 300_000, "servername": ""})
    built["smtp"]["rateLimit"] = {"messages": 0, "seconds": 10**9}
    record = read(AccountCreate, built)
    assert isinstance(record, AccountCreate)
    assert (record.name, record.imap.port, record.smtp.rate_limit.messages) == ("n" * 10_000, 0, 0)
    assert msgspec.to_builtins(record) == built
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(built, AccountCreate)


def test_members_of_a_later_version_are_left_out() -> None:
    built = msgspec.to_builtins(
        account(webhooks="https://x.example", webhooksCustomHeaders=[{"key": "a", "value": "b"}])
    )
    plain = read(AccountCreate, built)
    for holder in (built, built["imap"], built["smtp"], built["imap"]["auth"], built["webhooksCustomHeaders"][0]):
        holder["later"] = {"a": [1]}
    assert read(AccountCreate, built) == plain


def test_every_member_is_read_as_it_was_given() -> None:
    given = account(
        path=["INBOX"],
        subconnections=["a", "b"],
        copy=None,
        logs=True,
        notifyFrom="2026-01-02T03:04:05.678Z",
        imapIndexer="fast",
        imap={**IMAP, "tls": {"rejectUnauthorized": False, "minVersion": "TLSv1.2"}, "sentMailPath": None},
        smtp=False,
    )
    assert read(AccountCreate, msgspec.to_builtins(given)) == given


@pytest.mark.parametrize(
    "change",
    [
        {"name": 7},
        {"imap": {"host": "x"}},
        {"imap": []},
        {"imap": {**IMAP, "port": "993"}},
        {"imap": {**IMAP, "auth": {"user": None}}},
        {"imap": {**IMAP, "auth": {"user": "u", "pass": 5}}},
        {"notifyFrom": "soon"},
        {"sandbox": "yes"},
        {"webhooks": 7},
        {"account": 7},
    ],
)
def test_a_registration_that_makes_no_sense_is_unreadable_and_not_quoted(change: dict[str, Any]) -> None:
    with pytest.raises(Unreadable) as caught:
        read(AccountCreate, {**msgspec.to_builtins(account()), **change})
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"7", b"null", b"{}", b"\xff", b'{"account":"acme"', b"[" * 9000 + b"]" * 9000]
)
def test_what_is_no_registration_is_unreadable(vault: Vault, data: bytes) -> None:
    with pytest.raises(Unreadable):
        records.unseal(data, vault)
