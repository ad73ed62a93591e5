"""`engine suppression`: the lists from the command line, and files of addresses."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import pytest

from engine import cli
from engine.commands import address_files
from engine.store import audit, database, suppressions
from engine.store.suppressions import Suppression
from engine.world import World

pytestmark = pytest.mark.usefixtures("folder")


@pytest.fixture
def journal(folder: Path) -> Path:
    """A journal with one account."""
    database.prepare_folder(folder)
    with contextlib.closing(database.open_writer(folder)) as db:
        db.execute("INSERT INTO account (id, record, created) VALUES ('acme', '{}', 0)")
        db.commit()
    return folder


def listed(capsys: pytest.CaptureFixture[str], *options: str) -> list[dict[str, Any]]:
    capsys.readouterr()
    assert cli.main(["suppression", "list", "--json", *options]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


class TestCommands:
    def test_addresses_are_added_listed_and_removed(self, journal: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert cli.main(["suppression", "add", "Ann@x.example", "bob@x.example", "--reason", "asked"]) == 0
        assert cli.main(["suppression", "add", "ann@x.example", "--account", "acme", "--expires", "2d"]) == 0
        assert "1 added, 0 replaced" in capsys.readouterr().out
        assert [(each["recipient"], each["account"], each["reason"]) for each in listed(capsys)] == [
            ("Ann@x.example", None, "asked"),
            ("ann@x.example", "acme", "request"),
            ("bob@x.example", None, "asked"),
        ]
        (own,) = listed(capsys, "--account", "acme")
        assert own["expires"] and "event" not in own
        assert [each["recipient"] for each in listed(capsys, "--query", "BO")] == ["bob@x.example"]
        assert cli.main(["suppression", "remove", "ANN@x.example", "--account", "acme"]) == 0
        assert cli.main(["suppression", "remove", "ann@x.example", "eve@x.example"]) == 1
        told = capsys.readouterr()
        assert (told.out, "eve@x.example is on no list" in told.err) == ("1 entry removed\n1 entry removed\n", True)
        assert cli.main(["suppression", "remove", "--all"]) == 0
        assert listed(capsys) == []
        with contextlib.closing(database.open_reader(journal)) as db:
            first = next(audit.entries(db, audit.AuditFilter()))
        assert (first.token, first.operation, first.object) == ("cli", "suppression.remove", "1")

    def test_an_odd_address_that_a_bounce_told_can_be_removed(self, journal: Path) -> None:
        odd = Suppression(scope="acme", recipient="a..b@x.example", reason="x", source="event", evidence=7, created=0.0)
        with contextlib.closing(database.open_writer(journal)) as db, database.transaction(db):
            suppressions.put(db, odd)
        assert cli.main(["suppression", "remove", "a..b@x.example"]) == 0

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (("add",), "nothing to add"),
            (("add", "ann"), "'ann' is not an address"),
            (("add", "ann@x.example", "--account", "nobody"), "there is no account 'nobody'"),
            (("list", "--account", "nobody"), "there is no account 'nobody'"),
            (("add", "--file", "missing.csv"), "missing.csv cannot be read: No such file"),
            (("remove", "ann@x.example", "--all"), "--all goes without addresses"),
        ],
    )
    def test_what_is_wrong_changes_nothing(
        self, journal: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], said: str
    ) -> None:
        assert cli.main(["suppression", *arguments]) == 2
        assert said in capsys.readouterr().err
        assert listed(capsys) == []

    def test_a_file(
        self, journal: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        names = [f"user{number}@x.example" for number in range(450)]
        file = tmp_path / "addresses.txt"
        file.write_text("\n".join([*names, "no address"]))
        assert cli.main(["suppression", "add", "--file", str(file)]) == 2
        said = capsys.readouterr().err
        assert "addresses.txt, line 451: 'no address' is not an address" in said and "nothing was done" in said
        assert listed(capsys) == []
        assert cli.main(["suppression", "add", "--file", str(file), "--skip-wrong"]) == 0
        assert capsys.readouterr().out == "450 added, 0 replaced, 1 wrong line skipped\n"
        assert len(listed(capsys)) == 450
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO("\n".join(names[1:]).encode())))
        assert cli.main(["suppression", "remove", "--file", "-"]) == 0
        assert [each["recipient"] for each in listed(capsys)] == [names[0]]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a@x.example\n\n# gone\r\nb@x.example\nA@X.example", [("a@x.example", None), ("b@x.example", None)]),
        ("\ufeffEmail;Reason\na@x.example;Bounce\nb@x.example;", [("a@x.example", "Bounce"), ("b@x.example", None)]),
        ('reason,created,"Email Address"\n"550, no\nuser",1,a@x.example', [("a@x.example", "550, no user")]),
        ("Ann\ta@x.example\nBob\t<b@x.example>", [("a@x.example", None), ("b@x.example", None)]),
        ('"Ann, Dr." <a@x.example>', [("a@x.example", None)]),
        ("jürgen@bücher.example", [("jürgen@xn--bcher-kva.example", None)]),
        ("", []),
    ],
)
def test_a_file_is_read(text: str, found: list[tuple[str, str | None]]) -> None:
    lines, wrong = address_files.read(text)
    assert ([(each.address, each.reason) for each in lines], wrong) == (found, [])


@pytest.mark.parametrize(
    ("text", "number", "said"),
    [
        ("id,name\n1,Ann", 1, "neither an address nor names of columns"),
        ("email,reason\n,x", 2, "the address is missing"),
        ("reason,email\nx", 2, "the address is missing"),
        ("email\n# x\n\nann@", 4, "'ann@' is not an address"),
        ("a@x.example\n" + "x" * 200_000, 2, "the address is missing"),
    ],
)
def test_a_wrong_line_is_told_by_its_number(text: str, number: int, said: str) -> None:
    wrong = address_files.read(text)[1][0]
    assert (wrong.number, said in wrong.text) == (number, True), wrong


def test_an_entry_that_has_expired_is_not_listed(journal: Path, capsys: pytest.CaptureFixture[str]) -> None:
    past = World().now() - 1
    old = Suppression(scope="", recipient="a@x.example", reason="x", source="api", created=0.0, expires=past)
    with contextlib.closing(database.open_writer(journal)) as db, database.transaction(db):
        suppressions.put(db, old)
    assert listed(capsys) == []
