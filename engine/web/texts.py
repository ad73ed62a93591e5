"""The texts of the pages: one TOML file a language in `texts/`, of which `en.toml` is whole.

A text is found by its key, `section.name`. Values go into `{braces}`, escaped. Where the words depend on a number, the
text is a table of `one` and `other`, chosen by `{count}`. Texts that a language lacks are English. A key that is in no
file raises KeyError; a test looks up every key that templates and pages use.
"""

from __future__ import annotations

import functools
import tomllib
from pathlib import Path

from markupsafe import Markup, escape

FOLDER = Path(__file__).parent / "texts"
DEFAULT = "en"

Text = str | dict[str, str]


class Texts:
    """The texts of one language."""

    def __init__(self, language: str, texts: dict[str, Text]) -> None:
        self.language = language
        self._texts = texts

    def __contains__(self, key: str) -> bool:
        return key in self._texts

    def __call__(self, key: str, **values: object) -> Markup:
        """The text with this key, as HTML. Raises KeyError."""
        text = self._texts[key]
        if isinstance(text, dict):
            text = text["one"] if values.get("count") == 1 else text["other"]
        if not values:
            return Markup(escape(text))
        return Markup(escape(text)).format(**{name: shown(value) for name, value in values.items()})

    def keys(self) -> set[str]:
        """Every key there is."""
        return set(self._texts)


def shown(value: object) -> object:
    """A value as it stands in a text: whole numbers with separators."""
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else value


@functools.cache
def languages() -> tuple[str, ...]:
    """The languages there are, English first."""
    names = sorted(file.stem for file in FOLDER.glob("*.toml"))
    return (DEFAULT, *(name for name in names if name != DEFAULT))


@functools.cache
def texts_of(language: str) -> Texts:
    """The texts of a language, English where it lacks one."""
    whole = _read(DEFAULT)
    return Texts(language, whole if language == DEFAULT else {**whole, **_read(language)})


def _read(language: str) -> dict[str, Text]:
    sections = tomllib.loads((FOLDER / f"{language}.toml").read_text(encoding="utf-8"))
    return {f"{section}.{name}": text for section, texts in sections.items() for name, text in texts.items()}
