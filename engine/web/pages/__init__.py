"""The pages: one file each, with a template of the same name in `engine/web/templates/`.

Every module here is searched for pages and actions (`engine.web.page`), so a new file is a new page.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil

from engine.web.page import Declared, declared_in


@functools.cache
def pages() -> tuple[Declared, ...]:
    """Every page and action there is, by the names of their files, then in the order of their lines."""
    names = sorted(found.name for found in pkgutil.iter_modules(__path__))
    return declared_in(importlib.import_module(f"{__name__}.{name}") for name in names)
