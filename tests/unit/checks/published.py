"""What name servers answer in tests of checks."""

from __future__ import annotations

from collections.abc import Mapping

from engine.checks.name_servers import LookupFailed
from engine.dns_records import RecordKind, Records

DEAD = "dead"
"""A record that stands for a name server that does not answer."""


class Zone:
    """Answers from a table: `name KIND` and its records. `asked` lists all questions."""

    def __init__(self, **of_kind: Mapping[str, str | list[str]]) -> None:
        self._records: dict[tuple[str, str], list[str]] = {}
        self.asked: list[tuple[str, str]] = []
        for kind, names in of_kind.items():
            for name, values in names.items():
                self._records[name, kind] = [values] if isinstance(values, str) else values

    async def __call__(self, name: str, kind: RecordKind) -> Records:
        self.asked.append((name, kind))
        found = self._records.get((name, kind))
        if found == [DEAD]:
            raise LookupFailed(f"{name} ({kind}): no answer")
        if found is not None:
            return Records(tuple(found))
        return Records(exists=any(known == name for known, _ in self._records))

    def set(self, name: str, kind: str, *values: str) -> None:
        """Publish these records instead."""
        self._records[name, kind] = list(values)
