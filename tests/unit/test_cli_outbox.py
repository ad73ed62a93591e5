from __future__ import annotations

import base64
import contextlib
from pathlib import Path

import msgspec
import pytest

from engine import cli
from engine.store import database, folder_metadata
from engine.store.vault import Vault
from engine.world import World

pytestmark = pytest.mark.usefixtures("folder")


@pytest.fixture
def queue(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A journal with messages in several states."""
    # No command finds an engine that happens to run on the default port.
    monkeypatch.setenv("ENGINE_HTTP__PORT", "1")
    database.prepare_folder(folder)
    with contextlib.closing(database.open_writer(folder)) as db:
        for number, (state, account, subject) in enumerate(
            [
                ("held", "jane", "one"),
                ("held", "john", "evil\n\x1b[2Jline"),
                ("queued", "jane", "three"),
                ("sent", "jane", "four"),
            ]
        ):
            ended = 5.0 if state == "sent" else None
            db.execute(
                "INSERT INTO message (queue_id, account, message_id, subject, sender, smtputf8, size, created, "
                "send_at, state, attempts_max, ended) VALUES (?, ?, 'm', ?, 's', 0, 1, 1, 1, ?, 1, ?)",
                (f"{number:019x}", account, subject, state, ended),
            )
            db.execute("INSERT INTO recipient VALUES (?, 0, 'a@b.example', ?, NULL, NULL)", (number + 1, state))
    return folder


def no_folder(folder: Path) -> str:
    return (
        f"data folder {folder} (./data): there is no such folder. Name another one with --config FILE or "
        "ENGINE_STORE__PATH, "
        "or start the engine with: engine serve; see: engine where"
    )


def states(folder: Path) -> list[str]:
    with contextlib.closing(database.open_reader(folder)) as db:
        return [
            f"{one} {other}"
            for one, other in db.execute(
                "SELECT message.state, recipient.state FROM message JOIN recipient ON recipient.message = message.id "
                "ORDER BY message.id"
            )
        ]


def test_the_list_shows_what_has_not_ended(queue: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["outbox", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in lines[1:]] == ["held", "held", "queued"]
    assert lines[2].endswith("evil??[2Jline")


def test_the_list_is_narrowed(queue: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["outbox", "list", "--state", "held", "--account", "john"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2
    assert cli.main(["outbox", "list", "--state", "sent"]) == 0
    assert capsys.readouterr().out.splitlines()[1].endswith("four")
    assert cli.main(["outbox", "list", "--state", "lost"]) == 2
    assert "there is no state 'lost'" in capsys.readouterr().err


def test_before_the_first_start(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command in (["outbox", "list"], ["outbox", "release"], ["backup", "copy"]):
        assert cli.main(command) == 1
        assert capsys.readouterr() == ("", f"engine: {no_folder(folder)}\n")
    assert not folder.exists()


@pytest.mark.parametrize(
    ("arguments", "code", "words", "after"),
    [
        ([], 0, "2 messages released", ["queued queued", "queued queued"]),
        (["--account", "jane"], 0, "1 message released", ["queued queued", "held held"]),
        ([f"{1:019x}"], 0, "1 message released", ["held held", "queued queued"]),
        ([f"{0:019x}", f"{2:019x}"], 1, "1 message released", ["queued queued", "held held"]),
        (["nonsense"], 1, "0 messages released", ["held held", "held held"]),
    ],
)
def test_release(
    arguments: list[str], code: int, words: str, after: list[str], queue: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["outbox", "release", *arguments]) == code
    assert capsys.readouterr().out == f"{words}\n"
    assert states(queue) == [*after, "queued queued", "sent sent"]
    with contextlib.closing(database.open_reader(queue)) as db:
        assert (folder_metadata.get(db, folder_metadata.RELEASED) is None) == words.startswith("0")


def test_backup_says_what_it_made(queue: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["backup", "copy"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith(f"{tmp_path / 'copy'}: 4 messages, 3 of them unsent, 0 events, 0.")
    assert err == "there is no key yet, so the copy has none\n"


def test_a_backup_without_the_key_of_the_passwords_says_so(
    queue: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    key = bytes(range(32))
    value = Vault(key, World()).seal("", "setting.serviceSecret", '"secret"')
    with contextlib.closing(database.open_writer(queue)) as db:
        db.execute("INSERT INTO setting VALUES ('serviceSecret', ?)", (msgspec.json.encode({"sealed": value}),))
    assert cli.main(["backup", "copy"]) == 0
    assert f"the key of the passwords is not in {queue / 'key'}, so the copy has none" in capsys.readouterr().err
    (tmp_path / "elsewhere").write_bytes(base64.b64encode(key))
    (tmp_path / "elsewhere").chmod(0o600)
    monkeypatch.setenv("ENGINE_STORE__KEY_FILE", str(tmp_path / "elsewhere"))
    assert cli.main(["backup", "with"]) == 0
    assert "key" not in capsys.readouterr().err and base64.b64decode((tmp_path / "with" / "key").read_bytes()) == key


@pytest.mark.parametrize("command", [["backup"], ["outbox", "list"], ["outbox", "release"]], ids=" ".join)
def test_help_has_examples(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main([*command, "--help"])
    assert "examples:\n  " in capsys.readouterr().out
