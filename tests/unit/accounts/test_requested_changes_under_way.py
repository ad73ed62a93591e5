"""Whose a change is that the watch observes itself."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection

import pytest
import trio
import trio.testing

from engine.accounts.requested_changes_under_way import DOUBT_SECONDS, REMOVAL, MessageChanges
from engine.store.writer import Tx

BOX = 1


async def test_a_change_that_broke_counts_as_the_requests_for_a_while(autojump_clock: trio.testing.MockClock) -> None:
    changes = MessageChanges()
    with pytest.raises(ValueError), changes.changing(BOX, [1, 2, 9]):
        raise ValueError
    with changes.changing(BOX, [3]):
        pass
    assert changes.doubtful(BOX, [1, 2, 3, 9, 10]) == {1: None, 2: None, 9: None}
    assert changes.doubtful(BOX + 1, [1]) == {}
    await trio.sleep(DOUBT_SECONDS + 1)
    assert changes.doubtful(BOX, [1]) == {}


async def test_a_removal_before_the_message_was_announced_counts_as_the_requests(
    autojump_clock: trio.testing.MockClock,
) -> None:
    changes = MessageChanges()
    changed(changes, [1], [])
    changed(changes, [3, 4, 5], [5, 3])
    assert changes.doubtful(BOX, [1, 3, 4, 5]) == {3: REMOVAL, 5: REMOVAL}
    await trio.sleep(DOUBT_SECONDS + 1)
    assert changes.doubtful(BOX, [3]) == {}


async def test_flags_changed_before_the_message_was_announced_count_as_the_requests(
    autojump_clock: trio.testing.MockClock,
) -> None:
    changes = MessageChanges()
    changed(changes, [3, 5], [3, 5], {"$a"})
    changed(changes, [5], [5], {"$b"})
    with pytest.raises(ValueError), changes.changing(BOX, [7], concerned={"$c"}):
        raise ValueError
    assert changes.doubtful(BOX, [3, 4, 5, 7]) == {3: {"$a"}, 5: {"$a", "$b"}, 7: {"$c"}}
    with changes.changing(BOX, [5]):
        assert changes.doubtful(BOX, [3, 5]) == {3: {"$a"}, 5: None}
    assert changes.doubtful(BOX, [5]) == {5: {"$a", "$b"}}


def changed(
    changes: MessageChanges, uids: list[int], unannounced: list[int], concerned: Collection[str] = REMOVAL
) -> None:
    """A change of these messages that ended well."""
    tx = Tx(sqlite3.connect(":memory:"), 1, 0)
    with changes.changing(BOX, uids, concerned=concerned) as change:
        changes.finish(tx, change, unannounced)
