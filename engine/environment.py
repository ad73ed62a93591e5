"""Names in the environment that were meant for the engine but mean nothing to it.

`ENGINE_HTTP_PORT=3100` would be ignored silently, and the engine would listen on an unexpected port. So a name that
differs from a known one by a common mistake (one underscore, a letter, lower case, no section) is refused, and the
error names the right one. Other names that begin with `ENGINE_` may belong to another program.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping

from engine.errors import ConfigError

PREFIX = "ENGINE_"
KEY = re.compile(r"ENGINE_([A-Z]+)__([A-Z0-9_]+)")
TOKEN, CONFIG = "ENGINE_TOKEN", "ENGINE_CONFIG"
"""What commands read besides the settings: an API token, and the file that `--config` would name."""
ALONE = ("port", "host", "path", "key", "level")
"""Keys that people use without their section; others could belong to any program."""
ALIKE = 0.87
"""How similar two names must be, of 1, for one to count as a typo of the other."""


def refuse_near_misses(environ: Mapping[str, str], keys: Mapping[str, str]) -> None:
    """Raise `ConfigError` for the first name that was meant for one of `keys`, which are `section.key` by variable.

    Names in the form of a key are left to the reader of the keys, whose error lists the known ones.
    """
    bare = {_bare(name): name for name in (*keys, TOKEN, CONFIG)}
    for name, value in sorted(environ.items()):
        if KEY.fullmatch(name) or name in (TOKEN, CONFIG) or "ENGIN" not in name.upper():
            continue
        meant = bare.get(_bare(name)) or _without_section(name, value, keys) or _alike(name, bare)
        if meant is not None:
            raise ConfigError(f"{name}: is not a setting; did you mean {meant}?")


def _bare(name: str) -> str:
    return "".join(c for c in name.upper() if c.isalnum())


def _without_section(name: str, value: str, keys: Mapping[str, str]) -> str | None:
    """The key of `ENGINE_PORT`; but not of what an orchestrator sets for a service called `engine`."""
    if not name.startswith(PREFIX) or "://" in value:
        return None
    wanted = name.removeprefix(PREFIX).lower()
    if wanted not in ALONE:
        return None
    return next((variable for variable, key in keys.items() if key.partition(".")[2] == wanted), None)


def _alike(name: str, bare: Mapping[str, str]) -> str | None:
    found = difflib.get_close_matches(_bare(name), bare, n=1, cutoff=ALIKE)
    return bare[found[0]] if found else None
