"""What rules ask name servers, as they see it. *pure*"""

from __future__ import annotations

from typing import Protocol

from engine.dns_records import RecordKind, Records


class LookupFailed(Exception):
    """Name servers did not answer in time, or with an error. The text says so."""


class Ask(Protocol):
    """Asks for the records of a name. Raises `LookupFailed`."""

    async def __call__(self, name: str, kind: RecordKind) -> Records: ...


def exchangers(answer: Records) -> list[str]:
    """The mail exchangers in an answer to `MX`, best first; "" stands for the null MX (RFC 7505)."""
    found = []
    for value in answer.values:
        preference, _, name = value.partition(" ")
        if preference.isdigit():
            found.append((int(preference), name.strip().rstrip(".").lower()))
    return [name for _, name in sorted(found)]
