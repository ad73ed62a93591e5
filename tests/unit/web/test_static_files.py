import gzip
import hashlib
import re
import tomllib

import pytest

from engine.errors import Problem
from engine.web.static_files import FOLDER, answer, files

VENDORED = tomllib.loads((FOLDER / "vendored.toml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("entry", VENDORED.values(), ids=list(VENDORED))
def test_what_others_wrote_is_as_it_came(entry: dict[str, str]) -> None:
    assert hashlib.sha256((FOLDER / entry["file"]).read_bytes()).hexdigest() == entry["sha256"]
    assert (FOLDER / entry["licence_file"]).stat().st_size > 200
    assert entry["version"] and entry["source"].startswith("npm ")


def test_every_file_is_ours_or_named() -> None:
    assert set(files()) - {entry["file"] for entry in VENDORED.values()} == {
        "app.css",
        "app.js",
        "docs.css",
        "icon.svg",
        "passkeys.js",
    }


def test_a_file_is_named_by_its_contents() -> None:
    for file in files().values():
        assert hashlib.sha256(file.data).hexdigest()[:16] in file.url_name
        assert gzip.decompress(file.zipped) == file.data


def test_only_these_files_are_there() -> None:
    for name in ("app.js", "../site.py", "vendored.toml", ""):
        with pytest.raises(Problem):
            answer(name, zipped=True)


def test_a_page_with_all_its_files_is_small() -> None:
    assert sum(len(file.data) for file in files().values()) < 125_000


CONFLICT = re.compile(rb"^(<{7}|>{7}) ", re.MULTILINE)


@pytest.mark.parametrize("room", ["static", "templates", "public_templates", "texts"])
def test_no_conflict_of_a_merge_is_left(room: str) -> None:
    """A browser skips what it cannot read without a word, and what stands after it in the style sheet."""
    files = [file for file in (FOLDER.parent / room).rglob("*") if file.is_file()]
    assert files
    assert [file.name for file in files if CONFLICT.search(file.read_bytes())] == []
