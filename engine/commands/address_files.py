"""Addresses in a file: one a line, or CSV as other mail services export it. Pure.

A CSV file may begin with a line of names, of which one is `email`, `recipient` or `address`; a column `reason` counts,
too. Without names, the first cell with an @ is the address. Commas, semicolons and tabs separate. Empty lines and those
that begin with `#` do not count.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from engine.decoding.value_checks import email

_ADDRESS_NAMES = frozenset({"email", "recipient", "address", "emailaddress", "mail"})
_REASON_NAMES = frozenset({"reason", "suppressionreason"})
_LONGEST_REASON = 256
_IN_BRACKETS = re.compile(r"[^<>]*<([^<>]{1,320})>\s*")
_UNPRINTABLE = re.compile(r"[^\S ]|[\x00-\x1f\x7f]")


class Line(NamedTuple):
    """An address, the reason if the file gives one, and the number of the line, from 1."""

    number: int
    address: str
    reason: str | None


class Wrong(NamedTuple):
    """What is wrong with a line."""

    number: int
    text: str


def read(text: str) -> tuple[list[Line], list[Wrong]]:
    """The addresses of a file, each once, and the lines that have none."""
    found: dict[str, Line] = {}
    wrong: list[Wrong] = []
    columns: dict[str, int] | None = None
    for number, cells in _rows(text):
        if columns is None:
            columns = _columns(cells)
            if columns:
                continue
            if "@" not in "".join(cells):
                wrong.append(Wrong(number, "neither an address nor names of columns, one of them email"))
                continue
        given = _cell(cells, columns["address"]) if columns else next((each for each in cells if "@" in each), cells[0])
        given = match[1] if (match := _IN_BRACKETS.fullmatch(given)) else given
        try:
            address = email(given.strip())
        except ValueError:
            wrong.append(Wrong(number, f"{given!r} is not an address" if given else "the address is missing"))
            continue
        reason = _UNPRINTABLE.sub(" ", _cell(cells, columns.get("reason", -1)))[:_LONGEST_REASON].strip()
        found.setdefault(address.lower(), Line(number, address, reason or None))
    return list(found.values()), wrong


def _rows(text: str) -> Iterator[tuple[int, list[str]]]:
    every = text.removeprefix("\ufeff").splitlines(keepends=True)
    lines = ["\n" if line.lstrip().startswith("#") else line for line in every]
    first = next((line for line in lines if line.strip()), "")
    separator = max(",;\t", key=first.count)
    rows = csv.reader(lines, delimiter=separator)
    while True:
        number = rows.line_num + 1
        try:
            cells = next(rows, None)
        except csv.Error:
            # A cell longer than csv reads: no address, whatever it is.
            cells = [""]
        if cells is None:
            return
        if any(each.strip() for each in cells) or cells == [""]:
            yield number, [each.strip() for each in cells]


def _columns(cells: Sequence[str]) -> dict[str, int]:
    """Which columns have the addresses and the reasons, by the first row; none if that names none."""
    names = [re.sub(r"[\s_-]", "", each.casefold()) for each in cells]
    address = next((at for at, name in enumerate(names) if name in _ADDRESS_NAMES), None)
    if address is None:
        return {}
    reason = next((at for at, name in enumerate(names) if name in _REASON_NAMES), -1)
    return {"address": address, "reason": reason}


def _cell(cells: Sequence[str], at: int) -> str:
    return cells[at] if 0 <= at < len(cells) else ""
