"""What an answer shows of a registration's servers."""

from __future__ import annotations

import msgspec
import pytest
from msgspec import UNSET, UnsetType

from engine.api.account import _imap, _smtp
from engine.masking import MASK
from engine.model.limits import SendingLimit
from engine.model.registration import ImapServer, Login, SmtpServer, TlsOptions
from engine.schema.servers import Auth

STORED = ImapServer(
    host="old.example",
    port=993,
    secure=True,
    auth=Login(user="u", password="p"),
    tls=TlsOptions(servername="name.example"),
    resync_delay=60,
    sent_mail_path="Sent Items",
)


def test_secrets_are_masked_and_nothing_else_is() -> None:
    shown, stored = msgspec.to_builtins(_imap(STORED)), msgspec.to_builtins(STORED)
    assert shown == stored | {"auth": {"user": "u", "pass": MASK}}
    with_token = SmtpServer(host="h", port=25, auth=Login(user="u", access_token="t"))
    assert _smtp(with_token).auth == Auth(user="u", access_token=MASK)


@pytest.mark.parametrize("auth", [False, UNSET])
def test_without_a_login_there_is_nothing_to_mask(auth: bool | UnsetType) -> None:
    server = SmtpServer(host="h", port=25, auth=auth, rate_limit=SendingLimit(messages=1, seconds=2))
    assert msgspec.to_builtins(_smtp(server)) == msgspec.to_builtins(server)
