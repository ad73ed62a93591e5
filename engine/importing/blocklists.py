"""Blocklists: an item for each list. As in EmailEngine, its recipients are skipped for every sender."""

from __future__ import annotations

from collections.abc import Iterator

from engine.decoding.decode import decode_query
from engine.errors import Problem
from engine.importing.destination import Destination
from engine.importing.item import Item, Refused, refused, words_of
from engine.importing.records import parse, request, seconds
from engine.importing.source import Stored
from engine.schema.blocklists import BlocklistAdd, BlocklistName
from engine.store import blocklists
from engine.store.blocklists import FOR_ALL, Entry
from engine.store.writer import Tx

_SHOWN = 5


def plan(stored: Stored, to: Destination) -> Iterator[Item]:
    """An item for each list, with the number of entries that are imported."""
    for id, fields in stored.blocklists.items():
        try:
            name = decode_query(BlocklistName, [("listId", id)]).list_id
        except Problem as problem:
            yield refused("blocklist", id, words_of(problem))
            continue
        good: list[Entry] = []
        bad: list[str] = []
        for address, octets in fields.items():
            try:
                good.append(_entry(name, address, octets, to))
            except Refused as error:
                bad.append(f"{address} does not come: {error}")
        yield _item(id, good, bad, to)


def _item(id: str, good: list[Entry], bad: list[str], to: Destination) -> Item:
    notes = bad[:_SHOWN] + ([f"nor do {len(bad) - _SHOWN} others"] if len(bad) > _SHOWN else [])
    if not good:
        return Item(kind="blocklist", id=id, outcome="refused", reason="it has no entries", notes=tuple(notes))
    keys = [each.recipient for each in good]
    # An entry for a single account is no reason to leave out an entry for all.
    new = len(keys) - sum(1 for each in _known(id, to) if each in {blocklists.key_of(key) for key in keys})
    if new <= 0:
        return Item(kind="blocklist", id=id, outcome="there", reason="all its entries are here already")

    def change(tx: Tx, _: object) -> None:
        for entry in good:
            blocklists.add(tx, entry)

    return Item(
        kind="blocklist",
        id=id,
        outcome="new",
        notes=(f"{new} {'entry' if new == 1 else 'entries'}", *notes),
        operation="blocklist.add",
        change=change,
    )


def _known(id: str, to: Destination) -> set[str]:
    _, found = blocklists.entries(to.db, FOR_ALL, id, 0, -1)
    return {blocklists.key_of(each.recipient) for each in found if each.scope == FOR_ALL}


def _entry(name: str, address: str, octets: bytes, to: Destination) -> Entry:
    given = parse(octets, to.secrets, "entry")
    if not isinstance(given, dict):
        raise Refused("cannot be read")
    body = request(
        BlocklistAdd,
        {
            "account": given.get("account"),
            "recipient": given.get("recipient") or address,
            "reason": given.get("reason") or "block",
        },
    )
    return Entry(
        list_id=name,
        scope=FOR_ALL,
        recipient=body.recipient,
        account=body.account,
        message_id=_text(given.get("messageId")),
        source=_text(given.get("source")) or "api",
        reason=body.reason,
        remote_address=_text(given.get("remoteAddress")),
        user_agent=blocklists.short_agent(_text(given.get("userAgent"))),
        created=seconds(given.get("created"), to.now),
    )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
