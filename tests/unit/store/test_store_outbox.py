"""Pages of the outbox are what sorting all messages would give, and SQLite needs no sorting for them."""

from __future__ import annotations

import itertools
import random
from typing import Any

import pytest
from pytest import MonkeyPatch

from engine.model.message_states import ENDED, State
from engine.store import outbox
from engine.store.writer import Store, Tx

NOW = 1000.0
ACCOUNTS = ("a", "b")
ADDRESSES = ("Mira@x.example", "mirabel@x.example", "bob@x.example")


async def filled(store: Store, count: int) -> list[dict[str, Any]]:
    """So many messages in all states; each as a row."""
    chance = random.Random(19)
    rows: list[dict[str, Any]] = []
    for number in range(1, count + 1):
        state = chance.choice(list(State))
        rows.append(
            {
                "id": number,
                "account": chance.choice(ACCOUNTS),
                "state": state,
                "next_at": None if state in ENDED or chance.random() < 0.1 else NOW + chance.randrange(-9, 9),
                "ended": NOW if state in ENDED else None,
                "to": chance.sample(ADDRESSES, chance.randint(1, 2)),
            }
        )

    def insert(tx: Tx) -> None:
        for row in rows:
            tx.execute(
                "INSERT INTO message (id, queue_id, account, message_id, sender, smtputf8, size, created, send_at, "
                "next_at, state, attempts_max, ended, expires_at) "
                "VALUES (:id, 'q' || :id, :account, '', '', 0, 0, 0, 0, :next_at, :state, 9, :ended, 0)",
                {name: value for name, value in row.items() if name != "to"},
            )
            for position, address in enumerate(row["to"]):
                tx.execute(
                    "INSERT INTO recipient VALUES (?, ?, ?, 'queued', NULL, NULL)", (row["id"], position, address)
                )

    await store.commit(insert)
    return rows


def sorted_out(rows: list[dict[str, Any]], account: str | None, state: str | None, recipient: str | None) -> list[int]:
    """What the pages have, one after another."""
    ended = state is not None and State(state) in ENDED
    found = [
        row
        for row in rows
        if (row["ended"] is not None) == ended
        and account in (None, row["account"])
        and state in (None, row["state"])
        and (recipient is None or any(each.lower().startswith(recipient.lower()) for each in row["to"]))
    ]
    if ended:
        return sorted((row["id"] for row in found), reverse=True)
    due = sorted(found, key=lambda row: (row["next_at"] is not None, row["next_at"] or 0, row["id"]))
    return [row["id"] for row in due]


@pytest.mark.parametrize("few", [0, 10, 1000], ids=["compared with all", "come upon", "looked up one by one"])
async def test_pages_are_what_sorting_gives(store: Store, monkeypatch: MonkeyPatch, few: int) -> None:
    monkeypatch.setattr(outbox, "FEW", few)
    rows = await filled(store, 200)
    for account, state, recipient in itertools.product(
        (None, *ACCOUNTS, "c"), (None, *State), (None, "MIRA", "mira@", "b", "zz")
    ):
        expected = sorted_out(rows, account, state, recipient)
        for first in (0, 7, 400):
            total, found = outbox.page(
                store.reader,
                account=account,
                state=state,
                ended=state is not None and State(state) in ENDED,
                recipient=recipient,
                first=first,
                limit=7,
            )
            assert total == len(expected), (account, state, recipient)
            assert [each.id for each in found] == expected[first : first + 7], (account, state, recipient)


@pytest.mark.parametrize("account", [None, "a"])
async def test_counts(store: Store, account: str | None) -> None:
    rows = [row for row in await filled(store, 200) if row["ended"] is None and account in (None, row["account"])]
    due = [row for row in rows if row["state"] != "sending" and row["next_at"] is not None and row["next_at"] <= NOW]
    active = sum(row["state"] == "sending" for row in rows)
    assert outbox.counts(store.reader, account, NOW) == outbox.Counts(
        active, len(due), len(rows) - active - len(due), min(row["next_at"] for row in due)
    )


@pytest.mark.parametrize("state", [None, "queued", "in_doubt", "sent"])
async def test_messages_of_all_accounts_need_no_sorting(store: Store, state: str | None) -> None:
    """100,000 messages are sorted in a tenth of a second, and read in their order in a hundredth."""
    asked: list[str] = []
    store.reader.set_trace_callback(asked.append)
    try:
        outbox.page(store.reader, account=None, state=state, ended=state == "sent", first=75_000, limit=25)
    finally:
        store.reader.set_trace_callback(None)
    assert len(asked) == 2
    need_no_sorting(store, asked)


def need_no_sorting(store: Store, asked: list[str]) -> None:
    for query in asked:
        plan = [row[3] for row in store.reader.execute(f"EXPLAIN QUERY PLAN {query}")]
        assert not any("TEMP B-TREE" in step for step in plan), plan
        assert all("INDEX" in step for step in plan if step.startswith(("SCAN", "SEARCH"))), plan


async def test_a_recipient_of_most_messages_needs_no_sorting(store: Store, monkeypatch: MonkeyPatch) -> None:
    """Of 200,000 messages, sorting them would be half of the time."""
    monkeypatch.setattr(outbox, "FEW", 5)
    await filled(store, 100)
    asked: list[str] = []
    store.reader.set_trace_callback(asked.append)
    try:
        _, found = outbox.page(store.reader, account=None, state=None, ended=False, recipient="m", first=0, limit=3)
    finally:
        store.reader.set_trace_callback(None)
    assert len(found) == 3
    need_no_sorting(store, [query for query in asked if "FROM message WHERE" not in query])
