import contextlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import ended, known

from engine import cli
from engine.store import database, tokens
from engine.version import VERSION

ROOT = Path(__file__).parents[2]
TOKEN = "ab" * 32


pytestmark = pytest.mark.usefixtures("folder")


def issue(capsys, *scopes):
    arguments = [part for scope in scopes or ("*",) for part in ("-s", scope)]
    assert cli.main(["tokens", "issue", "-d", "a test", "--create", *arguments]) == 0
    return capsys.readouterr().out.removesuffix("\n")


def test_version(capsys):
    assert ended("--version") == 0
    version = VERSION
    assert capsys.readouterr().out == f"engine {version}\n"


@pytest.mark.parametrize(
    "command",
    [[], ["tokens", "issue"], ["tokens", "revoke"], ["events", "tail"]],
    ids=lambda command: " ".join(command) or "engine",
)
def test_help_has_examples(capsys, command):
    assert ended(*command, "--help") == 0
    assert "examples:\n  " in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["tokens"],
        ["tokens", "issue", "-d", "x"],
        ["tokens", "issue", "-s", "*"],
        ["events", "tail", "--after", "-1"],
        ["events", "tail", "--after", "x"],
    ],
    ids=" ".join,
)
def test_wrong_usage(capsys, arguments):
    assert ended(*arguments) == 2
    assert capsys.readouterr().err.startswith("usage: engine")


@pytest.mark.parametrize(
    "command",
    [
        ["serve"],
        ["tokens", "issue", "-d", "x", "-s", "*"],
        ["tokens", "list"],
        ["tokens", "revoke", "12345678"],
        ["events", "tail", "--token", TOKEN],
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("place", ["before", "after", "here"])
def test_a_wrong_configuration_is_one_line(tmp_path, capsys, command, place):
    name = "config.toml" if place == "here" else "other.toml"
    (tmp_path / name).write_text("[http]\nprot = 1\n")
    given = [] if place == "here" else ["--config", name]
    assert cli.main([*given, *command] if place == "before" else [*command, *given]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"engine: {name}: unknown key http.prot;")
    assert err.count("\n") == 1


def test_a_file_that_was_asked_for_must_be_there(capsys):
    assert cli.main(["tokens", "list", "--config", "none.toml"]) == 2
    assert capsys.readouterr().err == "engine: none.toml: there is no such file\n"


def test_issue_before_the_first_start(folder, capsys):
    token = issue(capsys, "api", "*")
    assert len(bytes.fromhex(token)) == 32
    assert [(each.description, each.scopes) for each in known(folder)] == [("a test", ["api", "*"])]
    with contextlib.closing(database.open_reader(folder)) as db:
        assert tokens.find(db, token, 0.0) == known(folder)[0]


def test_issue_beside_a_running_engine(folder, capsys):
    database.prepare_folder(folder)
    with database.lock_folder(folder), contextlib.closing(database.open_writer(folder)) as db:
        token = issue(capsys)
        assert tokens.find(db, token, 0.0) is not None


def test_issue_waits_for_a_writer(folder, capsys):
    database.prepare_folder(folder)
    with contextlib.closing(database.open_writer(folder)) as db:
        db.execute("BEGIN IMMEDIATE")
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-m", "engine", "tokens", "issue", "-d", "x", "-s", "*"]
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as process:
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(1)
            db.execute("COMMIT")
            assert process.wait(30) == 0
    assert len(known(folder)) == 1


def test_a_scope_that_is_none_is_refused(folder, capsys):
    assert cli.main(["tokens", "issue", "-d", "x", "-s", " ", "--create"]) == 2
    assert "there is no scope ' '; the scopes are: api, smtp, metrics, mcp, oauth-token, *" in capsys.readouterr().err
    assert not folder.exists()


def test_issue_imports_no_server():
    code = """
import sys
from engine.cli import main
assert main(["tokens", "issue", "-d", "x", "-s", "*", "--create"]) == 0
print(sorted({"quart", "hypercorn", "httpx2", "trio_websocket", "cryptography"} & set(sys.modules)), file=sys.stderr)
"""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stderr == "[]\n"


def test_a_damaged_journal_is_one_line(folder):
    folder.mkdir()
    (folder / "journal.db").write_bytes(b"no journal at all" * 100)
    command = [sys.executable, "-m", "engine", "tokens", "list"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"engine: {folder / 'journal.db'}: the journal cannot be opened: file is not a database\n"


def test_list(folder, capsys):
    token = issue(capsys, "api", "*")
    assert cli.main(["tokens", "issue", "-d", "evil\n\x1b[2Jline", "-s", "*"]) == 0
    capsys.readouterr()
    assert cli.main(["tokens", "list"]) == 0
    out = capsys.readouterr().out
    lines = out.splitlines()
    first = known(folder)[0]
    assert lines[1].split() == [first.id, lines[1].split()[1], "never", "never", "api,*", "-", "*", "a", "test"]
    assert lines[2].endswith("evil??[2Jline")
    assert len(lines) == 3
    assert token not in out


def test_a_token_for_one_account(folder, capsys):
    issued = ["tokens", "issue", "-d", "one", "-s", "api", "--account", "jane"]
    assert cli.main([*issued, "--create"]) == 2
    assert "there is no account 'jane'; there is none yet" in capsys.readouterr().err
    assert cli.main([*issued, "--unregistered"]) == 0
    capsys.readouterr()
    assert [token.account for token in known(folder)] == ["jane"]
    assert cli.main(["tokens", "list"]) == 0
    assert capsys.readouterr().out.splitlines()[1].split()[2:] == ["never", "never", "api", "-", "jane", "one"]


def test_webhook_commands_say_what_is_missing(folder, capsys):
    assert cli.main(["webhooks", "list"]) == 1
    assert "there is no such folder" in capsys.readouterr().err
    issue(capsys)
    assert cli.main(["webhooks", "list"]) == 3
    assert f"no engine runs on {folder}: start it with: engine serve" in capsys.readouterr().err
    assert cli.main(["webhooks", "list", "--url", "http://127.0.0.1:1"]) == 2
    assert "needs a token" in capsys.readouterr().err
    assert cli.main(["webhooks", "list", "--token", "x", "--url", "ftp://x"]) == 2
    assert "--url must look like" in capsys.readouterr().err
    assert cli.main(["webhooks", "list", "--token", "x", "--url", "http://127.0.0.1:1"]) == 3
    assert "http://127.0.0.1:1: nothing listens there. Start the engine" in capsys.readouterr().err
    assert ended("webhooks", "replay", "default") == 2
    assert ended("webhooks", "replay", "default", "--after", "1", "--since", "2026-01-01") == 2


@pytest.mark.parametrize("by", ["start", "shown", "hash", "token", "upper"])
def test_revoke(folder, capsys, by):
    token = issue(capsys)
    full = known(folder)[0].hash
    name = {"start": full[:8], "shown": full[:12], "hash": full, "token": token, "upper": full[:12].upper()}[by]
    other = issue(capsys)
    assert cli.main(["tokens", "revoke", name]) == 0
    assert capsys.readouterr().out == "1 token revoked\n"
    with contextlib.closing(database.open_reader(folder)) as db:
        assert tokens.find(db, token, 0.0) is None
        assert tokens.find(db, other, 0.0) is not None


def test_revoke_says_how_many(folder, capsys):
    issue(capsys)
    with contextlib.closing(database.open_writer(folder)) as db:
        for end in "ab":
            db.execute(
                "INSERT INTO token (hash, description, scopes, created) VALUES (?, '', '[]', 0)", ["1" * 8 + end]
            )
    assert cli.main(["tokens", "revoke", "11111111"]) == 0
    assert capsys.readouterr().out == "2 tokens revoked\n"
    assert len(known(folder)) == 1


def test_revoke_none(folder, capsys):
    assert cli.main(["tokens", "revoke", "12345678"]) == 1
    assert not folder.exists()
    issue(capsys)
    assert cli.main(["tokens", "revoke", "zzzzzzzz"]) == 1
    assert capsys.readouterr().err.startswith("engine: there is no such token")
    assert len(known(folder)) == 1


def test_a_short_id_is_refused(folder, capsys):
    issue(capsys)
    assert cli.main(["tokens", "revoke", known(folder)[0].hash[:7]]) == 1
    assert "at least the first 8" in capsys.readouterr().err
    assert len(known(folder)) == 1


def test_doctor(folder, capsys, monkeypatch):
    monkeypatch.setenv("ENGINE_HTTP__PORT", "0")
    assert cli.main(["doctor"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 15
    assert all(line.startswith("ok   ") for line in lines)
    folder.write_text("in the way")
    assert cli.main(["doctor"]) == 1
    assert "BAD  data folder: " in capsys.readouterr().out


def test_doctor_finds_a_wrong_configuration(capsys):
    assert cli.main(["doctor", "--config", "none.toml"]) == 1
    assert "BAD  config: none.toml: there is no such file. Create one with: printf" in capsys.readouterr().out
