from __future__ import annotations

from typing import get_args

from engine.accounts.not_ready import REFUSALS
from engine.model.account_states import AccountState
from engine.schema import account as schema


def test_every_state_refuses_with_a_reason() -> None:
    assert set(REFUSALS) == set(AccountState)
    assert all(each.code and each.message and each.retry_after > 0 for each in REFUSALS.values())


def test_the_words_are_those_of_the_api() -> None:
    assert {str(state) for state in AccountState} <= set(get_args(schema.AccountState))


def test_the_codes() -> None:
    assert {str(state): refusal.code for state, refusal in REFUSALS.items()} == {
        "init": "NotYetConnected",
        "connecting": "NotYetConnected",
        "syncing": "NotYetConnected",
        "connected": "NotYetConnected",
        "authenticationError": "AuthenticationFails",
        "connectError": "ConnectionError",
        "disconnected": "NoAvailable",
        "paused": "NoAvailable",
        "unset": "NotSyncing",
    }
