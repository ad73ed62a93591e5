"""The documents as pages: all of them, each link to somewhere, nothing but what `docs/` has."""

from __future__ import annotations

import html
import re
from pathlib import Path

import pytest

from engine.web import documents

REPOSITORY = Path(__file__).resolve().parents[3]
FILES = sorted(documents.FOLDER.glob("*.md"))


def anchors_of(page: str) -> set[str]:
    return set(re.findall(r'<h\d id="([^"]*)"', page))


def test_every_document_is_listed_under_its_purpose() -> None:
    listed = [page.name for _, each in documents.listed() for page in each]
    assert sorted(listed) == sorted([*(file.stem for file in FILES), "config"])
    assert len(listed) == sum(map(len, documents.GROUPS.values())), "a group names a document that is gone"


@pytest.mark.parametrize("name", documents.pages())
def test_every_link_leads_somewhere(name: str) -> None:
    pages = documents.pages()
    for href in re.findall(r'href="([^"]*)"', pages[name].html):
        if re.match(r"[a-z]+:", href):
            assert href.startswith(("https://", "http://127.0.0.1")), href
            continue
        if href in documents.FILES:
            assert (documents.FOLDER / href).is_file()
            continue
        target, _, anchor = href.partition("#")
        page = pages[target or name]
        assert not anchor or anchor in anchors_of(page.html), f"{name}: {href}"


def test_the_sections_of_the_api_are_pages_of_their_own() -> None:
    pages = documents.pages()
    assert pages["api-submit"].part_of == "api" and "Submit a message" in pages["api-submit"].html
    assert 'id="submit-a-message"' not in pages["api"].html
    assert 'href="api-submit#submit-a-message"' in pages["api"].html, "a link within the document"
    assert 'href="api#errors"' in pages["api-submit"].html, "and back"
    assert [part.name for part in documents.parts("api")][:2] == ["api-account", "api-mailbox"]


def test_the_configuration_is_shown_as_it_is() -> None:
    shown = documents.pages()["config"].html.partition('<code class="language-toml">')[2].partition("</code>")[0]
    assert html.unescape(shown) == (REPOSITORY / "config.toml").read_text(encoding="utf-8")


def test_the_dashboard_is_linked() -> None:
    assert 'href="grafana.json"' in documents.pages()["metrics"].html


def test_a_link_to_what_is_not_served_is_no_link() -> None:
    text = documents.pages()["design"].html
    assert "decisions/" not in "".join(re.findall(r'href="([^"]*)"', text))


def test_repeated_headings_have_anchors_of_their_own() -> None:
    for page in documents.pages().values():
        every = re.findall(r'<h\d id="([^"]*)"', page.html)
        assert len(every) == len(set(every)), page.name


def test_wide_tables_scroll_by_themselves() -> None:
    text = documents.pages()["errors"].html
    assert text.count("<table>") == text.count('<div class="scroll"') > 0
