"""Laying an update over stored server settings, and hiding what is secret in them."""

from __future__ import annotations

import msgspec
import pytest
from msgspec import UNSET

from engine.schema.servers import (
    MASK,
    Auth,
    ImapConfig,
    ImapUpdate,
    RateLimit,
    SmtpConfig,
    SmtpUpdate,
    Tls,
    masked,
    merged,
)

STORED = ImapConfig(
    host="old.example",
    port=993,
    secure=True,
    auth=Auth(user="u", password="p"),
    tls=Tls(servername="name.example"),
    resync_delay=60,
    sent_mail_path="Sent Items",
)


def test_a_whole_update_forgets_what_was_stored():
    result = merged(ImapUpdate(host="new.example", port=143), STORED, ImapConfig)
    assert result == ImapConfig(host="new.example", port=143)
    assert result.resync_delay == 900


def test_a_partial_update_keeps_what_it_does_not_name():
    result = merged(ImapUpdate(partial=True, port=143, secure=False), STORED, ImapConfig)
    assert result == msgspec.structs.replace(STORED, port=143, secure=False)


def test_a_partial_update_replaces_the_login_as_a_whole():
    result = merged(ImapUpdate(partial=True, auth=Auth(user="u", access_token="t")), STORED, ImapConfig)
    assert result.auth == Auth(user="u", access_token="t")
    assert result.host == STORED.host


def test_a_partial_update_can_clear_a_folder():
    assert merged(ImapUpdate(partial=True, sent_mail_path=None), STORED, ImapConfig).sent_mail_path is None


def test_a_partial_update_can_lift_the_rate_limit():
    stored = SmtpConfig(host="h", port=25, rate_limit=RateLimit(messages=1, seconds=2))
    assert merged(SmtpUpdate(partial=True), stored, SmtpConfig).rate_limit == stored.rate_limit
    assert merged(SmtpUpdate(partial=True, rate_limit=None), stored, SmtpConfig).rate_limit is UNSET
    assert merged(SmtpUpdate(partial=True, auth=False), stored, SmtpConfig).auth is False


@pytest.mark.parametrize(
    ("update", "missing"), [(SmtpUpdate(partial=True, port=25), "host"), (SmtpUpdate(host="h"), "port")]
)
def test_what_is_still_missing_is_named(update, missing):
    with pytest.raises(ValueError, match=f"^{missing}$"):
        merged(update, None, SmtpConfig)


def test_secrets_are_masked_and_nothing_else_is():
    assert masked(STORED) == msgspec.structs.replace(STORED, auth=Auth(user="u", password=MASK))
    with_token = SmtpConfig(host="h", port=25, auth=Auth(user="u", access_token="t"))
    assert masked(with_token).auth == Auth(user="u", access_token=MASK)


@pytest.mark.parametrize("auth", [False, UNSET])
def test_without_a_login_there_is_nothing_to_mask(auth):
    config = SmtpConfig(host="h", port=25, auth=auth)
    assert masked(config) == config


def test_the_names_on_the_wire():
    body = b'{"host":"h","port":993,"secure":true,"auth":{"user":"u","pass":"p"},"tls":{"rejectUnauthorized":false}}'
    config = msgspec.json.decode(body, type=ImapConfig)
    assert config.auth == Auth(user="u", password="p")
    assert msgspec.json.encode(config) == body[:-1] + b',"resyncDelay":900}'
