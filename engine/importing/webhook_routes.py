"""Webhook routes, as endpoints. Their filters and maps are JavaScript there and JMESPath here.

Only filters about event names are understood: `return true`, or a comparison of `payload.event`. A route with any other
filter, or with a map, is imported switched off, so that it posts nothing that its filter would have stopped; the filter
has to be rewritten. Without a filter, EmailEngine posts nothing at all.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from engine.importing.destination import Destination
from engine.importing.item import Item, Refused, refused
from engine.importing.records import known, parse, refuse_empty, request, seconds, unpack
from engine.importing.source import Entry, Stored
from engine.model.webhook import EndpointSettings
from engine.schema.events import EVENT_DATA
from engine.schema.webhooks import WebhookCreate
from engine.store import webhooks
from engine.store.sealed import endpoint_field
from engine.store.webhooks import EndpointRow
from engine.store.writer import Tx

_COMMENT = re.compile(r"/\*.*?\*/|(?<![:\"'])//[^\n]*", re.DOTALL)
_TRUE = re.compile(r"return\s+true\s*;?")
_ONE = r"payload\.event\s*={2,3}\s*(?:'([A-Za-z0-9]+)'|\"([A-Za-z0-9]+)\")"
_SOME = re.compile(rf"return\s+\(?\s*{_ONE}(?:\s*\|\|\s*{_ONE})*\s*\)?\s*;?")
_EACH = re.compile(_ONE)
_NO_FILTER = "it has no filter, so that EmailEngine posts nothing to it: it is switched off"
_FOREIGN = "its {} is JavaScript: it is switched off until you set `filter` and `map` (JMESPath) and `enabled`"


def plan(stored: Stored, to: Destination, most: int, secret: str | None) -> Iterator[Item]:
    """An item for each route. `most` endpoints are allowed; `secret` signs there, and continues to sign here."""
    there = {row.id: row for row in webhooks.every(to.db)}
    for entry in stored.routes:
        try:
            record, notes, created = _record(entry, to)
            if entry.id not in there and len(there) >= most:
                raise Refused(f"at most {most} webhook endpoints are allowed")
        except Refused as error:
            yield refused("webhook route", entry.id, str(error))
            continue
        if secret:
            record = msgspec.structs.replace(record, secrets=(secret,))
        else:
            notes = [*notes, "EmailEngine has no serviceSecret, so what is posted is not signed"]
        is_there = entry.id in there

        def change(
            tx: Tx,
            _: object,
            id: str = entry.id,
            record: EndpointSettings = record,
            created: float = created,
            is_there: bool = is_there,
        ) -> None:
            field, text = endpoint_field(id), msgspec.json.encode(record).decode()
            sealed = to.vault.seal("", field, text).encode()
            if is_there:
                webhooks.change(tx, id, sealed, to.now)
            else:
                webhooks.add(tx, EndpointRow(id, None, sealed, tx.last_seq, b'{"started":true}', created, to.now))

        if not is_there:
            there[entry.id] = EndpointRow(entry.id, None, b"", 0, b"", created, to.now)
        operation = "webhook.update" if is_there else "webhook.create"
        yield to.item("webhook route", entry.id, is_there, change, operation, tuple(notes))


def _record(entry: Entry, to: Destination) -> tuple[EndpointSettings, list[str], float]:
    refuse_empty(entry.id)
    meta, content = unpack(entry.meta, to.secrets), unpack(entry.content, to.secrets)
    headers = meta.get("customHeaders")
    if isinstance(headers, str) and headers:
        headers = parse(headers.encode(), to.secrets, "customHeaders")
    names, notes = _events(content)
    told = ": ".join(str(meta[each]) for each in ("name", "description") if meta.get(each))
    members = {
        "url": meta.get("targetUrl"),
        "description": told,
        "events": names,
        "headers": headers or [],
        "enabled": meta.get("enabled") is True and not notes,
    }
    body = request(WebhookCreate, known(members, WebhookCreate) | {"enabled": members["enabled"]})
    record = EndpointSettings(
        url=body.url,
        description=body.description,
        events=body.events,
        headers=tuple((each.key, each.value) for each in body.headers),
        enabled=body.enabled,
    )
    if meta.get("enabled") is not True:
        notes = [*notes, "it is switched off there, and here"]
    return record, notes, seconds(meta.get("created"), to.now)


def _events(content: dict[str, object]) -> tuple[list[str] | None, list[str]]:
    """The events that the filter lets through, None for all, and why the route has to be switched off, if it has."""
    source = _COMMENT.sub("", str(content.get("fn") or "")).strip()
    notes = [_FOREIGN.format("map")] if str(content.get("map") or "").strip() else []
    if not source:
        return None, [_NO_FILTER]
    if _TRUE.fullmatch(source):
        return None, notes
    if _SOME.fullmatch(source):
        names = [one or other for one, other in _EACH.findall(source)]
        if all(each in EVENT_DATA for each in names):
            return names, notes
    return None, [_FOREIGN.format("filter")]
