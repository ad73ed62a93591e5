"""An id in a path: percent-decoded once, so that it may contain any character, including `/` and `%`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import unquote_to_bytes

from engine.errors import Problem

_BAD_ESCAPE = re.compile("%(?![0-9A-Fa-f]{2})")


def path_id(raw: str) -> str:
    """Decode an id as it was sent. Raises `Problem` 400 if it is not percent-encoded UTF-8."""
    if raw.isalnum() and raw.isascii():
        return raw
    try:
        if not _BAD_ESCAPE.search(raw):
            return unquote_to_bytes(raw.encode("latin-1")).decode()
    except UnicodeDecodeError:
        pass
    raise Problem(400, "The path is not percent-encoded UTF-8")


def decoded_ids(raw: Mapping[str, str]) -> dict[str, str]:
    """All ids of a path by name. Raises as `path_id`."""
    return {name: path_id(each) for name, each in raw.items()}
