"""Spellings of a boolean that are accepted in JSON and in a query, the same as EmailEngine's."""

from __future__ import annotations

from typing import Any

from engine.field_errors import FieldErrors, FieldPath

_BOOLEANS = {"true": True, "y": True, "1": True, "false": False, "n": False, "0": False}


def boolean(value: Any, place: FieldPath, found: FieldErrors) -> Any:
    """The boolean that `value` spells; otherwise adds a field error."""
    if isinstance(value, bool):
        return value
    known = _BOOLEANS.get(str(value).lower()) if isinstance(value, str | int) else None
    return found.add(place, "must be a boolean") if known is None else known
