"""What commands write for people, and what shells complete."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from engine import cli
from engine.commands import account, completion, logs, terminal
from engine.errors import ConfigError


class Screen(io.StringIO):
    """A terminal."""

    def isatty(self) -> bool:
        return True


def test_a_table_is_aligned_with_and_without_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [("ID", "STATE", "URL"), ("a\x1b[2J", "failing", "x"), ("longer one", "active", "evil\nline")]
    plain = io.StringIO()
    monkeypatch.setattr(sys, "stdout", plain)
    terminal.table(rows)
    assert plain.getvalue() == "ID          STATE    URL\na?[2J       failing  x\nlonger one  active   evil?line\n"
    screen = Screen()
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    terminal.table(rows)
    coloured = screen.getvalue()
    assert "\x1b[31mfailing\x1b[0m" in coloured
    assert "\x1b[32mactive \x1b[0m" in coloured
    monkeypatch.setenv("NO_COLOR", "1")
    screen.truncate(0)
    screen.seek(0)
    terminal.table(rows)
    assert screen.getvalue() == plain.getvalue()


def test_progress_is_for_terminals(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    with terminal.progress("copying"):
        while "copying ... " not in screen.getvalue():
            time.sleep(0.01)
    assert screen.getvalue().endswith("\r\x1b[K")
    pipe = io.StringIO()
    monkeypatch.setattr(sys, "stderr", pipe)
    with terminal.progress("copying"):
        pass
    assert pipe.getvalue() == ""


@pytest.mark.parametrize(
    ("text", "host", "port", "secure"),
    [
        ("mail.example.com", "mail.example.com", 993, True),
        ("mail.example.com:143", "mail.example.com", 143, False),
        ("[2001:db8::1]:993", "2001:db8::1", 993, True),
        ("[2001:db8::1]", "2001:db8::1", 993, True),
        ("2001:db8::1", "2001:db8::1", 993, True),
    ],
)
def test_servers(text: str, host: str, port: int, secure: bool) -> None:
    assert account.server(text, "imap") == {"host": host, "port": port, "secure": secure}


@pytest.mark.parametrize("text", ["", ":993", "host:", "host:x", "host:0", "host:65536"])
def test_what_is_no_server(text: str) -> None:
    with pytest.raises(ConfigError, match="--imap must look like"):
        account.server(text, "imap")


def test_a_password_out_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    for content, secret in (("pa ss\n", "pa ss"), ("pa ss", "pa ss"), ("pass\r\n", "pass"), (" pass \n", " pass ")):
        file.write_bytes(content.encode())
        assert account.password(str(file)) == secret
    for wrong in (b"", b"\n", b"two\nlines\n", b"\xff"):
        file.write_bytes(wrong)
        with pytest.raises(ConfigError, match="--password-file"):
            account.password(str(file))


@pytest.mark.parametrize(
    ("before", "now", "known"),
    [
        ("", "abc", 0),
        ("abc", "abc", 3),
        ("abc", "abcd", 3),
        ("abc", "bcd", 2),
        ("abc", "cde", 1),
        ("abc", "def", 0),
        ("abc", "", 0),
        ("aab", "abc", 2),
        ("aaa", "aaaa", 3),
    ],
)
def test_lines_that_were_shown(before: str, now: str, known: int) -> None:
    assert logs.known(list(before), list(now)) == known


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        (["engine", "ac"], ["account"]),
        (["engine", "account", "re"], ["remove", "reconnect"]),
        (["engine", "-q", "account", "list", "--st"], ["--state"]),
        (["engine", "account", "add", "jane", "--email", "x", "--pass"], ["--password-file"]),
        (["engine", "completion", ""], ["bash", "zsh", "--help", "--config"]),
        (["engine", "events", "tail", "--after", ""], []),
    ],
)
def test_bash_completes(typed: list[str], words: list[str]) -> None:
    script = completion.bash(cli.make_parser())
    asked = 'COMP_WORDS=("$@"); COMP_CWORD=$(($#-1)); compopt() { :; }; _engine; printf "%s\\n" "${COMPREPLY[@]}"'
    command = ["bash", "-c", f"{script}\n{asked}", *typed[:1], *typed]
    shown = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (shown.stdout.split(), shown.stderr) == (words, "")


@pytest.mark.skipif(shutil.which("zsh") is None, reason="there is no zsh here")
def test_zsh_takes_its_script() -> None:
    subprocess.run(["zsh", "-n"], input=completion.zsh(cli.make_parser()), text=True, check=True)


def test_every_command_takes_json_and_says_what_it_does(capsys: pytest.CaptureFixture[str]) -> None:
    for path, command in completion._commands(cli.make_parser(), "engine"):
        if command.get_default("run") is None or path in ("engine serve", "engine completion"):
            continue
        assert "--json" in command.format_help(), path
        assert command.description, path
