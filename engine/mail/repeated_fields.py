"""The caller's own header fields, in order; those that may occur only once do (RFC 5322 section 3.6).

A repeated field, perhaps in another spelling, is merged if its syntax is a list: addresses, message ids, the URIs of
RFC 2369. Otherwise an equal value counts once and a different one is refused (`HeaderError`). An empty field is left
out, since most fields that programs read may not be empty.
"""

from __future__ import annotations

from collections.abc import Sequence

from engine.mail.addresses import Address
from engine.mail.header_writing import HeaderError, address_list, custom, strict_addresses

_REPLY_TO = "reply-to"
_ADDRESS_LISTS = frozenset({_REPLY_TO, "mail-reply-to", "mail-followup-to", "disposition-notification-to"})
_IDS = frozenset({"in-reply-to", "references"})
_URIS = frozenset(
    {"list-unsubscribe", "list-subscribe", "list-help", "list-post", "list-owner", "list-archive"}  # RFC 2369 section 2
)
_ONCE = (
    frozenset({"sender", "list-id", "list-unsubscribe-post", "auto-submitted", "importance", "priority", "sensitivity"})
    | _ADDRESS_LISTS
    | _IDS
    | _URIS
)


def own_fields(headers: Sequence[tuple[str, str]], reply_to: Sequence[Address]) -> tuple[str, list[str]]:
    """The Reply-To field ("" if there is none), and the other fields in the given order.

    Addresses of a Reply-To in `headers` are added after those of `reply_to`. Raises `HeaderError`.
    """
    grouped: dict[str, list[tuple[str, str]]] = {}
    for number, (name, value) in enumerate(headers):
        key = name.lower()
        if key not in _ONCE and not key.startswith("content-"):
            key = f"{number}"
        if value.strip(" \t"):
            grouped.setdefault(key, []).append((name, value))
        else:
            # A forbidden field is refused even if it is empty.
            custom(name, "")
    reply = ""
    if reply_to:
        beside = [
            each for name, value in grouped.pop(_REPLY_TO, []) for each in strict_addresses(value, f"headers.{name}")
        ]
        reply = address_list("Reply-To", _each_once([*reply_to, *beside]) if beside else reply_to, "replyTo")
    return reply, [field for key, given in grouped.items() if (field := _one(key, given))]


def _one(key: str, given: list[tuple[str, str]]) -> str:
    name, value = given[0]
    if len(given) == 1:
        return custom(name, value)
    values = list(dict.fromkeys(each.strip(" \t") for _, each in given))
    if key in _IDS:
        return custom(name, " ".join(values))
    if key in _URIS:
        return custom(name, ", ".join(values))
    if key in _ADDRESS_LISTS:
        try:
            addresses = [each for value in values for each in strict_addresses(value, f"headers.{name}")]
        except HeaderError:
            # It contains a group, which is legal but is not parsed here.
            return custom(name, ", ".join(values))
        return address_list(name, _each_once(addresses), f"headers.{name}")
    if len(values) > 1:
        other = next(spelling for spelling, each in given if each.strip(" \t") != values[0])
        said = "is given twice" if other == name else f"is given beside {name}"
        raise HeaderError(f"headers.{other}", f"may occur only once and {said}, with another value")
    return custom(name, value)


def _each_once(addresses: Sequence[Address]) -> list[Address]:
    first: dict[str, Address] = {}
    for each in addresses:
        first.setdefault(each.address, each)
    return list(first.values())
