"""The words that are stored and those that the API shows are the same."""

from __future__ import annotations

from typing import get_args

import pytest

from engine.model import message, message_states, registration, waiting
from engine.oauth import providers
from engine.schema import account, oauth2, outbox, servers, sign_in, submit


@pytest.mark.parametrize(
    ("stored", "shown"),
    [
        (tuple(message_states.State), outbox.MessageState),
        (tuple(message.OnDoubt), submit.OnDoubt),
        (get_args(waiting.WaitingKind), outbox.WaitingKind),
        (registration.SERVERS, servers.Server),
        (tuple(providers.PROVIDERS), sign_in.Provider),
        (get_args(providers.ProviderId), sign_in.Provider),
        (tuple(oauth2.NEEDED), sign_in.Provider),
        (tuple(providers.CLOUDS), oauth2.Cloud),
    ],
)
def test_the_same_words(stored: tuple[str, ...], shown: object) -> None:
    assert sorted(stored) == sorted(get_args(shown))


def test_a_registration_may_hold_every_word_that_a_request_may() -> None:
    for indexer in get_args(account.Indexer):
        assert registration.read({"account": "a", "name": "a", "imapIndexer": indexer}).imap_indexer == indexer
    for version in get_args(servers.TlsVersion):
        smtp = {"host": "h", "port": 25, "tls": {"minVersion": version}}
        stored = registration.read({"account": "a", "name": "a", "smtp": smtp}).smtp
        assert isinstance(stored, registration.SmtpServer) and isinstance(stored.tls, registration.TlsOptions)
        assert stored.tls.min_version == version
