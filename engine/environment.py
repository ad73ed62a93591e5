"""Names in the environment that were meant for the engine and say nothing to it.

`ENGINE_HTTP_PORT=3100` would be left unread without a word, and the engine would listen where nobody expects it. So a
name that differs from a known one by what people get wrong (one underscore, a letter, small letters, the section left
out) is refused, and the right one is named. What merely begins with `ENGINE_` may be another program's.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping

from engine.errors import ConfigError

PREFIX = "ENGINE_"
KEY = re.compile(r"ENGINE_([A-Z]+)__([A-Z0-9_]+)")
TOKEN, CONFIG = "ENGINE_TOKEN", "ENGINE_CONFIG"
"""What commands read beside the settings: an API token, and the file that `--config` would name."""
ALONE = ("port", "host", "path", "key", "level")
"""Keys that people name without their section; others could be any program's."""
ALIKE = 0.87
"""How much two names must have in common, of 1, for one to be taken for the other mistyped."""


def refuse_near_misses(environ: Mapping[str, str], keys: Mapping[str, str]) -> None:
    """Raise `ConfigError` for the first name that was meant for one of `keys`, which are `section.key` by variable.

    A name in the form of a key is left to whoever reads the keys, and says which there are.
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
    """`ENGINE_PORT`; but not what an orchestrator sets for a service that is called `engine`."""
    if not name.startswith(PREFIX) or "://" in value:
        return None
    wanted = name.removeprefix(PREFIX).lower()
    if wanted not in ALONE:
        return None
    return next((variable for variable, key in keys.items() if key.partition(".")[2] == wanted), None)


def _alike(name: str, bare: Mapping[str, str]) -> str | None:
    found = difflib.get_close_matches(_bare(name), bare, n=1, cutoff=ALIKE)
    return bare[found[0]] if found else None
