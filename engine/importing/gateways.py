"""Gateways."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import UNSET
from msgspec.structs import asdict

from engine.api.gateways import MOST_GATEWAYS
from engine.gateways import records
from engine.importing.destination import Destination
from engine.importing.item import Item, Refused, refused
from engine.importing.records import known, opened, plain, request, unknown
from engine.importing.source import Stored
from engine.model.gateway import Gateway
from engine.model.registration import TlsOptions
from engine.schema.gateways import GatewayCreate
from engine.schema.servers import Tls
from engine.store import gateways
from engine.store.writer import Tx

_TEXTS = ("gateway", "pass")
"""The members that are stored as they are; the others are msgpack."""
_STATE = ("deliveries", "lastUse", "lastError", "created", "updated")


def plan(stored: Stored, to: Destination) -> Iterator[Item]:
    """An item for each gateway."""
    there = {row.id: row for row in gateways.every(to.db)}
    for count, (id, fields) in enumerate(stored.gateways.items(), len(there.keys() - stored.gateways.keys()) + 1):
        try:
            record, notes = _record(id, fields, to)
            if id not in there and count > MOST_GATEWAYS:
                raise Refused(f"at most {MOST_GATEWAYS} gateways are allowed")
        except Refused as error:
            yield refused("gateway", id, str(error))
            continue

        def change(tx: Tx, _: object, id: str = id, record: Gateway = record) -> None:
            gateways.save(tx, id, records.seal(record, to.vault), to.now)

        yield to.item("gateway", id, id in there, change, "gateway.save", tuple(notes))


def _record(id: str, fields: dict[str, bytes], to: Destination) -> tuple[Gateway, list[str]]:
    if not fields:
        raise Refused("its record is missing")
    given: dict[str, Any] = {}
    for name, octets in fields.items():
        if name in _TEXTS:
            given[name] = plain(octets, to.secrets, name)
        elif name not in _STATE:
            try:
                given[name] = opened(msgspec.msgpack.decode(octets), to.secrets, name)
            except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
                raise Refused(f"{name}: cannot be read") from error
    members = known(given, GatewayCreate) | {"gateway": id}
    notes = list(unknown(given, GatewayCreate, ""))
    if isinstance(tls := members.get("tls"), dict):
        members["tls"] = known(tls, Tls)
        notes += unknown(tls, Tls, "tls.")
    body = request(GatewayCreate, members)
    if body.gateway != id:
        raise Refused("gateway has blanks around it, which no id may have here")
    options = UNSET if body.tls is UNSET else TlsOptions(**asdict(body.tls))
    return records.guarded(Gateway(**asdict(body) | {"gateway": id, "tls": options}), None), notes
