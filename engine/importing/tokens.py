"""API tokens. Both products store the SHA-256 of a token's 32 bytes, so programs continue to use their tokens."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, get_args

from engine.api.token_terms import permissions_of, restrictions_of
from engine.importing.destination import Destination
from engine.importing.item import Item, Refused, refused
from engine.importing.records import NOTHING, request, seconds, unpack
from engine.importing.source import Stored
from engine.isotime import iso
from engine.schema.tokens import Scope, TokenCreate
from engine.store import tokens
from engine.store.tokens import Token
from engine.store.writer import Tx

_HASH = re.compile(r"[0-9a-f]{64}")
_EVERYTHING = "*"
_LIMITS = ("restrictions", "permissions")
"""What narrows a token. One whose limits cannot be read here does not come: without them, it could do more."""


def plan(stored: Stored, to: Destination) -> Iterator[Item]:
    """An item for each token, by the id that `engine tokens list` shows."""
    there = {each.hash for each in tokens.every(to.db)}
    for hash, octets in stored.tokens.items():
        id = hash[: tokens.ID_LENGTH]
        try:
            token, notes = _token(hash, unpack(octets, to.secrets), to)
        except Refused as error:
            yield refused("token", id, str(error))
            continue

        def change(tx: Tx, _: object, token: Token = token) -> None:
            tokens.revoke(tx, [token])
            tokens.add(tx, token)

        yield to.item("token", id, hash in there, change, "token.issue", tuple(notes))


def _token(hash: str, given: dict[str, Any], to: Destination) -> tuple[Token, list[str]]:
    if not _HASH.fullmatch(hash):
        raise Refused("it is no SHA-256 hash of a token")
    account = given.get("account") or None
    if account is not None and not isinstance(account, str):
        raise Refused("account: must be a string")
    if account is not None and account not in to.accounts:
        raise Refused(f"it is for the account {account}, which does not come")
    expires = seconds(given["expires"], 0.0) if given.get("expires") else None
    if expires is not None and expires <= to.now:
        raise Refused("it has expired")
    # A token issued without scopes may do everything.
    scopes = given.get("scopes") or [_EVERYTHING]
    lost = [str(each) for each in scopes if each not in get_args(Scope)] if isinstance(scopes, list) else []
    members: dict[str, Any] = {
        "account": account,
        "description": str(given.get("description") or "from EmailEngine"),
        "scopes": [each for each in scopes if each not in lost] if lost else scopes,
    }
    if lost and not members["scopes"]:
        raise Refused(f"there is no scope {', '.join(lost)} here")
    if expires is not None:
        members["expires"] = iso(expires)
    for name in _LIMITS:
        if (limits := _given(given.get(name))) not in NOTHING:
            members[name] = limits
    body = request(TokenCreate, members)
    token = Token(
        hash,
        body.description,
        list(dict.fromkeys(body.scopes)),
        seconds(given.get("created"), to.now),
        account,
        expires,
        permissions_of(body.permissions),
        restrictions_of(body.restrictions),
    )
    return token, [f"without the scope {each}, which is not known here" for each in lost]


def _given(limits: Any) -> Any:
    """The limits, without members that mean no limit. An empty list is not one of those: it may allow nothing."""
    if not isinstance(limits, dict):
        return limits
    return {name: value for name, value in limits.items() if value is not None and value is not False}
