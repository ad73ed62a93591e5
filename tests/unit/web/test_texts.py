import re
import tomllib

import pytest

from engine.web.pages import pages
from engine.web.roles import Role
from engine.web.texts import FOLDER, Texts, languages, texts_of

WEB = FOLDER.parent
PARTS = [*sorted((WEB / "templates").glob("*.html")), *sorted((WEB / "pages").glob("*.py")), *sorted(WEB.glob("*.py"))]
ENGLISH = texts_of("en")
_NAMED = re.compile(
    r"""\b(?:t|text|Refused)\(\s*(f?)["']([a-z_]+\.[\w{}.]*)["'](\s*~)?|\bsay=(f?)["']([a-z_.]+[\w{}]*)["']"""
)


def named() -> tuple[set[str], set[str]]:
    """The keys that templates and pages name; and the beginnings of those that they put together."""
    whole: set[str] = set()
    begun: set[str] = set()
    for file in PARTS:
        for match in _NAMED.finditer(file.read_text(encoding="utf-8")):
            key, is_begun = match[2] or match[5], match[1] or match[3] or match[4]
            (begun if is_begun else whole).add(key.partition("{")[0])
    return whole, begun


def test_every_text_that_is_named_is_there() -> None:
    whole, begun = named()
    keys = ENGLISH.keys()
    assert len(whole) > 50
    assert whole - keys == set()
    assert [start for start in begun if not any(key.startswith(start) for key in keys)] == []


def test_every_text_is_named() -> None:
    whole, begun = named()
    assert {key for key in ENGLISH.keys() - whole if not key.startswith(tuple(begun))} == set()


def test_the_menu_and_the_roles_have_texts() -> None:
    for each in pages():
        if each.menu is not None:
            assert f"menu.{each.name}" in ENGLISH
            assert each.menu.group == "main" or f"menu.{each.name}_about" in ENGLISH
    assert all(f"role.{role}" in ENGLISH for role in Role)


@pytest.mark.parametrize("language", languages())
def test_a_language_has_what_english_has(language: str) -> None:
    """Nothing else, with the same values in it, and in the same order."""
    english, other = (tomllib.loads((FOLDER / f"{name}.toml").read_text(encoding="utf-8")) for name in ("en", language))
    for section, members in other.items():
        assert set(members) <= set(english[section]), section
        assert list(members) == sorted(members), section
        for name, text in members.items():
            assert _values(text) <= _values(english[section][name]) | {"count"}, f"{section}.{name}"


def _values(text: object) -> set[str]:
    return set(re.findall(r"\{(\w+)\}", str(text).replace("{'", "")))


def test_values_are_escaped_and_numbers_grouped() -> None:
    t = Texts("en", {"a.b": "<{name}> has {count}", "a.c": {"one": "one", "other": "{count} of them"}})
    assert t("a.b", name="<b>", count=12345) == "&lt;&lt;b&gt;&gt; has 12,345"
    assert (t("a.c", count=1), t("a.c", count=1000)) == ("one", "1,000 of them")
    with pytest.raises(KeyError):
        t("a.d")
