"""Keys with which mail is signed (DKIM, RFC 6376): where they are published, and whether they can be used.

*pure* but for the look-ups that it is given.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from typing import Literal, NamedTuple

from engine.checks.name_servers import Ask

KeyState = Literal["good", "none", "revoked", "broken"]
SHORTEST_RSA = 140
"""Octets of an RSA key of 1,024 bits at the least, in the form in which it is published (RFC 8301 section 3.2)."""
ED25519 = 32
_TAG = re.compile(r"\s*([A-Za-z][A-Za-z0-9_]*)\s*=(.*)", re.DOTALL)
_BLANK = re.compile(r"\s+")
MOST_SIGNATURES = 5


class Signature(NamedTuple):
    """The domain and selector of a `DKIM-Signature`."""

    domain: str
    selector: str


def tags_of(text: str) -> dict[str, str]:
    """The tags of a DKIM or DMARC record, by name in lower case; the first of a name counts."""
    found: dict[str, str] = {}
    for part in text.split(";"):
        if (match := _TAG.fullmatch(part)) is not None:
            found.setdefault(match[1].lower(), match[2].strip())
    return found


def signatures(values: Iterable[str]) -> list[Signature]:
    """The signatures in a message, as far as they can be read."""
    found = []
    for value in list(values)[:MOST_SIGNATURES]:
        tags = tags_of(value)
        if tags.get("d") and tags.get("s"):
            found.append(Signature(tags["d"].lower(), tags["s"]))
    return found


async def key_at(ask: Ask, selector: str, domain: str) -> KeyState:
    """The state of the key at a selector of a domain. Raises `LookupFailed`."""
    answer = await ask(f"{selector}._domainkey.{domain}", "TXT")
    states = [state_of_key(value) for value in answer.values]
    return next((state for state in states if state == "good"), states[0] if states else "none")


def state_of_key(text: str) -> KeyState:
    """Whether the text of a record is a key that can be used (RFC 6376 section 3.6.1, RFC 8463)."""
    tags = tags_of(text)
    if tags.get("v", "DKIM1") != "DKIM1" or "p" not in tags:
        return "broken"
    written = _BLANK.sub("", tags["p"])
    if not written:
        return "revoked"
    try:
        key = base64.b64decode(written, validate=True)
    except ValueError:
        return "broken"
    kind = tags.get("k", "rsa").lower()
    if kind == "ed25519":
        return "good" if len(key) == ED25519 else "broken"
    return "good" if kind == "rsa" and len(key) >= SHORTEST_RSA else "broken"
