"""Which data folder a command works on, where no engine runs; the near things that are refused."""

from __future__ import annotations

import argparse
import contextlib
import os
from pathlib import Path

import pytest

from engine import cli
from engine.commands import target
from engine.errors import ConfigError
from engine.store import control_socket, database


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder, no settings from outside."""
    for name in [name for name in os.environ if name.startswith("ENGINE_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def journal(folder: Path) -> Path:
    database.prepare_folder(folder)
    database.open_writer(folder).close()
    return folder


def found(config: str | None = None) -> target.EngineTarget:
    return target.find(argparse.Namespace(config=None if config is None else Path(config)))


def test_the_rule_without_an_engine(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (found().folder, found().rule, found().why) == (here / "data", 5, "./data")
    (here / "config.toml").write_text('[store]\npath = "mail"\n')
    assert (found().folder, found().rule, found().why) == (here / "mail", 4, "./config.toml")
    (here / "etc").mkdir()
    (here / "etc" / "a.toml").write_text('[store]\npath = "a"\n')
    monkeypatch.setenv("ENGINE_CONFIG", "etc/a.toml")
    assert (found().folder, found().rule, found().why) == (here / "etc" / "a", 2, "ENGINE_CONFIG=etc/a.toml")
    assert (found("config.toml").folder, found("config.toml").why) == (here / "mail", "--config config.toml")
    monkeypatch.setenv("ENGINE_STORE__PATH", "b")
    assert (found().folder, found().rule, found().why) == (here / "b", 2, "ENGINE_STORE__PATH")
    named = found("config.toml")
    assert (named.folder, named.why) == (here / "b", "ENGINE_STORE__PATH, which overrides --config config.toml")


def test_a_link_without_an_engine_says_nothing(here: Path) -> None:
    folder = journal(here / "elsewhere")
    with control_socket.opened(folder, here) as door:
        assert door is not None
        assert control_socket.started_here(here) == ([], [])
        with database.lock_folder(folder):
            assert control_socket.started_here(here) == ([folder], [])
    assert list(here.glob(".engine-*")) == []
    (here / ".engine-0").write_text("no link")
    (here / ".engine-1").symlink_to(here / "gone")
    with database.lock_folder(folder), control_socket.opened(folder, here):
        assert control_socket.started_here(here) == ([folder], [])
        assert sorted(each.name for each in here.glob(".engine-?")) == [".engine-0"]


def test_a_link_of_another_user_is_not_followed(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a file to another user")
    folder = journal(here / "elsewhere")
    with database.lock_folder(folder), control_socket.opened(folder, here):
        (link,) = here.glob(".engine-*")
        os.chown(link, 65534, 65534, follow_symlinks=False)
        assert found().rule == 5
        assert f"another user started an engine in this folder, on {folder}" in capsys.readouterr().err
        link.unlink()


def test_an_engine_runs_without_a_socket_it_cannot_make(here: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = journal(here / "data")
    (folder / "control").mkdir()
    with control_socket.opened(folder, here) as door:
        assert door is None
    assert "cannot be created" in caplog.text
    assert list(here.glob(".engine-*")) == []


def test_a_folder_that_cannot_be_written_is_pointed_to_from_nowhere(here: Path) -> None:
    folder = journal(here / "data")
    with control_socket.opened(folder, here / "gone") as door:
        assert door is not None
        with contextlib.closing(control_socket.connect(folder, 5.0)):
            pass


def test_what_is_no_socket_is_refused(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = journal(here / "data")
    (folder / "control").write_text("")
    assert cli.main(["tokens", "list"]) == 2
    assert f"{folder / 'control'} is a file and not a socket: move it away" in capsys.readouterr().err


def test_a_journal_that_a_path_of_earlier_versions_named_is_not_left_behind(here: Path) -> None:
    (here / "etc").mkdir()
    (here / "etc" / "mail.toml").write_text("")
    journal(here / "data")
    with pytest.raises(ConfigError) as caught:
        found("etc/mail.toml")
    assert f"Set in the file: path = '{here / 'data'}'" in str(caught.value)
    assert cli.main(["serve", "--config", "etc/mail.toml"]) == 2
    journal(here / "etc" / "data")
    assert found("etc/mail.toml").folder == here / "etc" / "data"


def test_a_folder_with_another_journal_in_it_is_no_data_folder(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "data").mkdir(mode=0o700)
    journal(here / "data" / "quickstart")
    assert cli.main(["tokens", "issue", "-d", "x", "-s", "*"]) == 1
    assert f"no engine has run on it yet; {here / 'data' / 'quickstart'} has a journal" in capsys.readouterr().err
    assert not (here / "data" / "journal.db").exists()


def test_where_says_what_is_wrong_with_the_folder(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    journal(here / "data").chmod(0o755)
    assert cli.main(["where"]) == 0
    out, err = capsys.readouterr()
    assert "  * 5. ./data\n" in out
    assert "has mode 0755" in err
    assert (here / "data").stat().st_mode & 0o777 == 0o755
