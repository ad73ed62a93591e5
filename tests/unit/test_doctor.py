import argparse
import base64
import contextlib
import datetime
import errno
import os
import shutil
import socket
import subprocess
import sys
import threading
import tomllib
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import trustme

from engine import doctor, installed_packages
from engine.commands.target import find
from engine.config import Config, Http, Msa, StoreConfig
from engine.store import database, vault_keys
from engine.store.disk_reserve import LEAST_FREE
from engine.world import World

PROJECT = Path(__file__).parents[2] / "pyproject.toml"


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "data"
    database.prepare_folder(path)
    return path


def config(folder, **store):
    return Config(store=StoreConfig(path=str(folder), **store))


def make_key(folder):
    return vault_keys.load(folder, StoreConfig(), World(), needed=()).current


def examined(monkeypatch, here, **environ):
    monkeypatch.chdir(here)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    return doctor.examine(lambda: find(argparse.Namespace(config=None)))


def listening(host, port):
    return Config(http=Http(host=host, port=port))


def contents(folder):
    return {
        str(path): (path.stat().st_mode, path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else None)
        for path in sorted(folder.rglob("*"))
    }


SEALED = '{"smtp":{"auth":{"pass":"v1.0badc0de.AAAA"}}}'


def journal_with_account(folder, record="{}"):
    with contextlib.closing(database.open_writer(folder)) as db:
        db.execute("INSERT INTO account (id, record, created) VALUES ('a', ?, 0)", (record,))


def crash_with_a_log(folder, record="{}"):
    """A journal as a killed engine leaves it: the last commits only in the log."""
    code = """
import os, pathlib, sys
from engine.store import database
db = database.open_writer(pathlib.Path(sys.argv[1]))
db.execute("INSERT INTO account (id, record, created) VALUES ('a', ?, 0)", (sys.argv[2],))
os._exit(0)
"""
    environment = os.environ | {"PYTHONPATH": str(PROJECT.parent)}
    subprocess.run([sys.executable, "-c", code, str(folder), record], check=True, env=environment)
    assert (folder / "journal.db-wal").stat().st_size > 0


def test_the_packages_are_those_of_the_project():
    assert list(installed_packages.REQUIRED) == tomllib.loads(PROJECT.read_text())["project"]["dependencies"]


def test_packages_here_are_in_order():
    assert doctor.packages().ok
    assert doctor.python().ok


def test_a_missing_and_a_wrong_package_are_named(monkeypatch):
    monkeypatch.setattr(installed_packages, "REQUIRED", ("no-such-thing>=1,<2", "trio>=99,<100"))
    found = doctor.packages()
    assert not found.ok
    assert "no-such-thing>=1,<2 is missing" in found.text
    assert "trio is " in found.text


def test_an_old_python_is_named(monkeypatch):
    monkeypatch.setattr(doctor, "PYTHON", (99, 0))
    assert not doctor.python().ok


def test_nothing_is_made_before_the_first_start(tmp_path, monkeypatch):
    environ = {"ENGINE_STORE__PATH": str(tmp_path / "deep" / "data"), "ENGINE_HTTP__PORT": "0"}
    findings = examined(monkeypatch, tmp_path, **environ)
    assert [found.line for found in findings if not found.ok] == []
    assert "will be created at the first start" in doctor.data_folder(config(tmp_path / "deep" / "data")).text
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("state", ["stopped", "crashed", "running"])
def test_nothing_is_changed(folder, state, monkeypatch):
    make_key(folder)
    with contextlib.ExitStack() as stack:
        if state == "crashed":
            crash_with_a_log(folder)
        else:
            journal_with_account(folder)
        if state == "running":
            stack.enter_context(database.lock_folder(folder))
            stack.enter_context(contextlib.closing(database.open_writer(folder)))
        before = contents(folder)
        environ = {"ENGINE_STORE__PATH": str(folder), "ENGINE_HTTP__PORT": "0"}
        findings = examined(monkeypatch, folder.parent, **environ)
        assert [found.line for found in findings if not found.ok] == []
        after = contents(folder)
        if state == "running":
            before = {name: value for name, value in before.items() if not name.endswith("-shm")}
            after = {name: value for name, value in after.items() if not name.endswith("-shm")}
        assert after == before


def test_a_wrong_configuration_ends_it(tmp_path, monkeypatch):
    findings = examined(monkeypatch, tmp_path, ENGINE_HTTP__PORT="many")
    assert [found.subject for found in findings] == ["python", "packages", "config"]
    assert findings[-1].line.startswith("BAD  config: ENGINE_HTTP__PORT: http.port")


def test_a_file_where_the_folder_should_be(tmp_path):
    (tmp_path / "data").write_text("")
    assert not doctor.data_folder(config(tmp_path / "data")).ok
    assert not doctor.data_folder(config(tmp_path / "data" / "deeper")).ok


def test_a_folder_that_cannot_be_written(folder, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert "cannot be written" in doctor.data_folder(config(folder)).text


def test_too_little_room(folder, monkeypatch):
    usage = shutil.disk_usage(folder)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=LEAST_FREE - 1))
    found = doctor.data_folder(config(folder))
    assert not found.ok
    assert "255 MiB free" in found.text


def test_the_lock_tells_whether_an_engine_runs(folder):
    assert doctor.lock(config(folder)).text == "no engine is running on this folder"
    with database.lock_folder(folder):
        assert doctor.lock(config(folder)).text == f"an engine is running on this folder (pid {os.getpid()})"
    assert doctor.lock(config(folder)).text == "no engine is running on this folder"


def test_a_damaged_journal(folder):
    journal_with_account(folder)
    file = folder / "journal.db"
    data = bytearray(file.read_bytes())
    data[4096 : len(data)] = b"\xff" * (len(data) - 4096)
    file.write_bytes(data)
    assert not doctor.journal(config(folder)).ok


def test_a_journal_that_is_none(folder):
    (folder / "journal.db").write_bytes(b"no journal at all" * 100)
    found = doctor.journal(config(folder))
    assert not found.ok
    assert "file is not a database" in found.text


def test_a_newer_journal(folder):
    with contextlib.closing(database.open_writer(folder)) as db:
        db.execute("PRAGMA user_version=999")
    assert "newer engine (schema 999)" in doctor.journal(config(folder)).text


def test_a_key_in_order(folder):
    make_key(folder)
    assert doctor.key(config(folder)).text.endswith("32 bytes, mode 0600")


def test_a_key_others_may_read(folder):
    make_key(folder)
    (folder / "key").chmod(0o640)
    found = doctor.key(config(folder))
    assert not found.ok
    assert f"chmod 600 {folder / 'key'}" in found.text


def test_a_short_key(folder):
    (folder / "key").write_bytes(base64.b64encode(b"short"))
    (folder / "key").chmod(0o600)
    assert "must hold 32 bytes" in doctor.key(config(folder)).text


def test_a_key_file_that_is_not_there(folder):
    found = doctor.key(config(folder, key_file=str(folder / "elsewhere")))
    assert not found.ok
    assert not (folder / "elsewhere").exists()


def test_a_key_from_the_settings(folder):
    assert doctor.key(config(folder, key=base64.b64encode(bytes(32)).decode())).ok
    assert not doctor.key(config(folder, key="not base64!")).ok


@pytest.mark.parametrize("make", [journal_with_account, crash_with_a_log])
def test_a_key_that_is_gone_while_accounts_are_sealed_with_it(folder, make):
    make(folder, SEALED)
    found = doctor.key(config(folder))
    assert not found.ok
    assert f"{folder / 'key'}: the key is missing" in found.text
    assert not (folder / "key").exists()


@pytest.fixture
def answering():
    """Start an HTTP server that answers everything with `body`; its port."""
    with contextlib.ExitStack() as stack:

        def start(body, status=200):
            class Handler(BaseHTTPRequestHandler):
                def do_GET(self):
                    self.send_response(status)
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)

                def log_message(self, *_):
                    pass

            server = stack.enter_context(HTTPServer(("127.0.0.1", 0), Handler))
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            stack.callback(thread.join)
            stack.callback(server.shutdown)
            return server.server_port

        yield start


def test_a_free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        number = probe.getsockname()[1]
    assert doctor.port(listening("127.0.0.1", number)).text == f"127.0.0.1 port {number} is free"
    assert doctor.port(listening("127.0.0.1", 0)).ok


def test_an_engine_on_the_port(answering, folder):
    port = Http(host="127.0.0.1", port=answering(b'{"success": true}'))
    with database.lock_folder(folder):
        found = doctor.port(Config(http=port, store=StoreConfig(path=str(folder))))
    assert found.ok
    assert "an engine answers" in found.text
    found = doctor.port(Config(http=port, store=StoreConfig(path=str(folder))))
    assert not found.ok
    assert "an engine with another data folder answers there: name its folder with ENGINE_STORE__PATH" in found.text


def test_a_port_that_only_root_may_have(monkeypatch):
    def refuse(*_):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(socket.socket, "bind", refuse)
    found = doctor.port(listening("127.0.0.1", 80))
    assert not found.ok
    assert found.text.startswith("http.port 80 may not be listened on by user ")
    assert "CAP_NET_BIND_SERVICE" in found.text


@pytest.mark.parametrize(
    ("body", "status"), [(b"<html>", 200), (b"[]", 200), (b'{"success": false}', 200), (b'{"success": true}', 404)]
)
def test_another_program_on_the_port(answering, body, status):
    found = doctor.port(listening("127.0.0.1", answering(body, status)))
    assert not found.ok
    assert "in use by another program" in found.text


def test_an_address_that_is_not_ours():
    assert "cannot be used" in doctor.port(listening("192.0.2.1", 3000)).text
    assert "cannot be used" in doctor.port(listening("no-such-host.invalid", 3000)).text


def test_a_certificate_that_ends_soon(tmp_path):
    authority, now = trustme.CA(), datetime.datetime.now(datetime.UTC)
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"

    def found(days):
        leaf = authority.issue_cert("mail.example.com", not_after=now + datetime.timedelta(days=days, hours=1))
        cert.write_bytes(leaf.cert_chain_pems[0].bytes())
        key.write_bytes(leaf.private_key_pem.bytes())
        by_http = doctor.https(Config(http=Http(cert=str(cert), key=str(key))))
        by_smtp = doctor.smtp_door(Config(msa=Msa(enabled=True, port=0, cert=str(cert), key=str(key))))
        assert by_http.ok == by_smtp.ok and by_http.text.partition(": ")[0] in by_smtp.text
        return by_http.ok, by_http.text.removeprefix(f"{cert} ends on ")[10:]

    assert doctor.https(Config()).text.startswith("off: ")
    renew = "renew it; the engine reads the new files by itself"
    assert found(40) == (True, "")
    assert found(29) == (True, f", in 29 days: {renew}")
    assert found(7) == (True, f", in 7 days: {renew}")
    assert found(6) == (False, f", in 6 days: {renew}")
    wrong = doctor.https(Config(http=Http(cert=str(key), key=str(key))))
    assert (wrong.ok, "has no certificate in PEM form: correct it" in wrong.text) == (False, True)


def test_the_smtp_door(tmp_path):
    def found(**msa):
        return doctor.smtp_door(Config(store=StoreConfig(path=str(tmp_path / "none")), msa=Msa(**msa)))

    assert found().text.startswith("off; ")
    free = found(enabled=True, port=0, tls_port=0)
    assert (free.ok, "without TLS" in free.text) == (True, True)
    missing = found(enabled=True, cert="/none", key="/none")
    assert (missing.ok, "msa.cert /none cannot be read: No such file" in missing.text) == (False, True)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
        busy = found(enabled=True, port=number)
    assert (busy.ok, f"msa.port {number} on 127.0.0.1 is in use" in busy.text) == (False, True)
    assert found(enabled=True, port=number).ok
