"""What was stored in the API's words, as the part of an answer that it is. *pure*"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from engine.schema.fields import Response

ResponseT = TypeVar("ResponseT", bound=Response)


def shown(kind: type[ResponseT], stored: Mapping[str, Any]) -> ResponseT:
    """The answer of this kind out of what was stored for it. Its values are not checked."""
    return kind(**{name: stored[wire] for wire, name in _members(kind) if wire in stored})


@functools.cache
def _members(kind: type[Response]) -> tuple[tuple[str, str], ...]:
    return tuple((field.encode_name, field.name) for field in msgspec.structs.fields(kind))
