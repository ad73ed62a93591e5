"""Parses a header into fields: lower-case names, each with all its values in order, unfolded and decoded.

It never raises; lines that are not fields are skipped. Time is proportional to the input.
"""

from __future__ import annotations

import re

from engine.mail.decode import header_text

_FIELD = re.compile(rb"^([!-9;-~]{1,200})[ \t]*+:(.*+(?:\r?\n[ \t].*+)*+)", re.MULTILINE)


def raw_fields(header: bytes) -> list[tuple[str, bytes]]:
    """Names and raw values, up to the empty line that ends the header."""
    end = re.search(rb"(?:\A|\r?\n)\r?\n", header)
    head = header if end is None else header[: end.start()]
    return [(match[1].decode("ascii").lower(), match[2].strip()) for match in _FIELD.finditer(head)]


def fields(header: bytes) -> dict[str, list[str]]:
    """All values by name."""
    found: dict[str, list[str]] = {}
    for name, value in raw_fields(header):
        found.setdefault(name, []).append(header_text(value))
    return found
