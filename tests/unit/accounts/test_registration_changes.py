"""What requests make of a registration."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from msgspec import UNSET

from engine.accounts import registration as records
from engine.accounts import registration_changes as changes
from engine.accounts.registration_changes import merged
from engine.model.limits import SendingLimit, SendingLimits
from engine.model.registration import ImapServer, Login, Registration, SmtpServer, TlsOptions
from engine.schema.account import AccountCreate, AccountUpdate
from engine.schema.servers import Auth, ImapUpdate, Limits, SmtpUpdate

IMAP = {"host": "imap.a.example", "port": 993, "secure": True, "auth": {"user": "me", "pass": "imap-secret"}}
SMTP = {"host": "smtp.a.example", "port": 465, "secure": True, "auth": {"user": "me", "accessToken": "smtp-token"}}
STORED = ImapServer(
    host="old.example",
    port=993,
    secure=True,
    auth=Login(user="u", password="p"),
    tls=TlsOptions(servername="name.example"),
    resync_delay=60,
    sent_mail_path="Sent Items",
)


def request(**members: Any) -> AccountCreate:
    built = {"account": "acme", "name": "Acme", "email": "me@a.example", "imap": IMAP, "smtp": SMTP, **members}
    return msgspec.convert(built, AccountCreate)


def account(**members: Any) -> Registration:
    return changes.registered(request(**members), "acme")


def update(**members: Any) -> AccountUpdate:
    return msgspec.convert(members, AccountUpdate)


EVERYTHING = {
    "path": ["INBOX", "\\Sent"],
    "subconnections": ["a"],
    "copy": None,
    "logs": True,
    "notifyFrom": "2026-01-02T03:04:05.678Z",
    "imapIndexer": "fast",
    "smtpEhloName": "mail.a.example",
    "imap": {
        **IMAP,
        "tls": {
            "rejectUnauthorized": False,
            "minVersion": "TLSv1.2",
            "servername": "n.example",
            "ca": "x",
            "required": True,
        },
        "resyncDelay": 60,
        "disabled": True,
        **{f"{name}MailPath": name for name in ("sent", "drafts", "junk", "trash")},
        "archiveMailPath": None,
    },
    "smtp": {**SMTP, "tls": {"required": False}, "rateLimit": {"messages": 1, "seconds": 2}},
    "proxy": "socks5://u:p@proxy.example:1080",
    "localAddress": "192.0.2.1",
    "webhooks": "https://x.example/",
    "webhooksCustomHeaders": [{"key": "a", "value": "b"}],
    "locale": "en",
    "tz": "Europe/Tallinn",
}


@pytest.mark.parametrize("members", [{}, EVERYTHING, {"imap": False, "smtp": False}, {"smtp": {**SMTP, "auth": False}}])
def test_a_registration_is_stored_with_every_member_as_it_was_given(members: dict[str, Any]) -> None:
    given = request(**members)
    assert msgspec.to_builtins(account(**members)) == {"version": 1, **msgspec.to_builtins(given)}


def test_a_request_brings_nothing_that_is_not_stored_and_nothing_else_is() -> None:
    assert set(EVERYTHING) | {"account", "name", "email", "sandbox", "oauth2", "expectedEmail"} == {
        field.encode_name for field in msgspec.structs.fields(AccountCreate)
    }
    stored = [name for name in AccountCreate.__struct_fields__ if name != "expected_email"]  # asked of the sign-in
    assert Registration.__struct_fields__ == ("version", *stored)


def test_registered_again_replaces_what_is_given_and_keeps_the_rest() -> None:
    again = msgspec.convert({"account": "acme", "name": "New"}, AccountCreate)
    after = changes.registered_again(account(), again)
    assert after.name == "New"
    assert after.email == "me@a.example"
    assert after.imap == account().imap
    assert after.account == "acme"


def test_a_partial_update_keeps_the_password() -> None:
    after = changes.updated(account(), update(imap={"partial": True, "port": 143, "secure": False}))
    endpoint = records.imap_endpoint(after)
    assert endpoint is not None
    assert (endpoint.host, endpoint.port, endpoint.secure) == ("imap.a.example", 143, False)
    assert endpoint.credentials.password == "imap-secret"
    assert after.smtp == account().smtp


def test_a_whole_update_must_be_whole() -> None:
    with pytest.raises(ValueError, match=r"^imap\."):
        changes.updated(account(), update(imap={"port": 143}))
    with pytest.raises(ValueError, match=r"^smtp\."):
        changes.updated(account(smtp=False), update(smtp={"partial": True, "port": 25}))


def test_a_server_can_be_removed() -> None:
    after = changes.updated(account(), update(smtp=False))
    assert records.smtp_endpoint(after) is None
    after = changes.updated(account(), update(imap=False))
    assert records.imap_endpoint(after) is None
    assert not records.has_imap(after)


def test_an_empty_update_changes_nothing() -> None:
    assert changes.updated(account(), update()) == account()


def test_a_whole_update_forgets_what_was_stored() -> None:
    result = merged(ImapUpdate(host="new.example", port=143), STORED, ImapServer)
    assert result == ImapServer(host="new.example", port=143)
    assert result.resync_delay == 900


def test_a_partial_update_keeps_what_it_does_not_name() -> None:
    result = merged(ImapUpdate(partial=True, port=143, secure=False), STORED, ImapServer)
    assert result == msgspec.structs.replace(STORED, port=143, secure=False)


def test_a_partial_update_replaces_the_login_as_a_whole() -> None:
    result = merged(ImapUpdate(partial=True, auth=Auth(user="u", access_token="t")), STORED, ImapServer)
    assert result.auth == Login(user="u", access_token="t")
    assert result.host == STORED.host


def test_a_partial_update_can_clear_a_folder() -> None:
    assert merged(ImapUpdate(partial=True, sent_mail_path=None), STORED, ImapServer).sent_mail_path is None


def test_a_partial_update_replaces_the_limits_as_a_whole() -> None:
    stored = SmtpServer(host="h", port=25, limits=SendingLimits(preset="gmail", per_day=1))
    assert merged(SmtpUpdate(partial=True), stored, SmtpServer).limits == stored.limits
    assert merged(SmtpUpdate(partial=True, limits=None), stored, SmtpServer).limits is UNSET
    given = SmtpUpdate(partial=True, limits=Limits(per_hour=None))
    assert merged(given, stored, SmtpServer).limits == SendingLimits(per_hour=None)


def test_a_partial_update_can_lift_the_rate_limit() -> None:
    stored = SmtpServer(host="h", port=25, rate_limit=SendingLimit(messages=1, seconds=2))
    assert merged(SmtpUpdate(partial=True), stored, SmtpServer).rate_limit == stored.rate_limit
    assert merged(SmtpUpdate(partial=True, rate_limit=None), stored, SmtpServer).rate_limit is UNSET
    assert merged(SmtpUpdate(partial=True, auth=False), stored, SmtpServer).auth is False


@pytest.mark.parametrize(
    ("update", "missing"), [(SmtpUpdate(partial=True, port=25), "host"), (SmtpUpdate(host="h"), "port")]
)
def test_what_is_still_missing_is_named(update: SmtpUpdate, missing: str) -> None:
    with pytest.raises(ValueError, match=f"^{missing}$"):
        merged(update, None, SmtpServer)


class TestRestricted:
    """Which servers were named with a token for one account."""

    def after(self, given: AccountUpdate, was: frozenset[str] = frozenset(), *, narrowed: bool) -> frozenset[str]:
        before = account()
        return changes.restricted(given, before, changes.updated(before, given), was=was, narrowed=narrowed)

    def test_a_new_account(self) -> None:
        for narrowed, servers in ((True, {"imap", "smtp"}), (False, set())):
            given = request()
            assert changes.restricted(given, None, account(), was=frozenset(), narrowed=narrowed) == servers

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
