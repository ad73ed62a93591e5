"""The HTTP API: one file for each resource, with one of the same name in `engine.schema` for what goes over the wire.

Every module here is searched for operations (`engine.http.operation`), so a new file is a new resource.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil

from engine.http.operation import Operation, declared_in


@functools.cache
def operations() -> tuple[Operation, ...]:
    """Every operation there is, by the names of their files, then in the order of their lines."""
    names = sorted(found.name for found in pkgutil.iter_modules(__path__))
    return declared_in(importlib.import_module(f"{__name__}.{name}") for name in names)
