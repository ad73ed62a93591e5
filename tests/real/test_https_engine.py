"""An engine that speaks HTTPS and SMTP with one certificate: commands, cookies, and SIGHUP after it was renewed."""

from __future__ import annotations

import os
import re
import signal
import smtplib
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest
import trustme
from real.engine_process import EngineProcess
from real.processes import wait_until
from real.servers import HOST, free_ports

pytestmark = pytest.mark.process

AUTHORITY = trustme.CA()
FIRST, RENEWED = AUTHORITY.issue_cert(HOST, "first"), AUTHORITY.issue_cert(HOST, "renewed")


def put(folder: Path, leaf: trustme.LeafCert) -> None:
    (folder / "cert.pem").write_bytes(leaf.cert_chain_pems[0].bytes())
    (folder / "key.pem").write_bytes(leaf.private_key_pem.bytes())


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[EngineProcess]:
    engine = EngineProcess(tmp_path)
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # heard also if the tests were started to ignore it
    yield engine
    engine.kill9()
    signal.signal(signal.SIGHUP, before)
    assert "Traceback" not in engine.log


def test_https(engine: EngineProcess, tmp_path: Path) -> None:
    put(tmp_path, FIRST)
    AUTHORITY.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    smtp_port, metrics_port = free_ports(2)
    for section in ("HTTP", "MSA"):
        engine.configure(**{f"ENGINE_{section}__CERT": "cert.pem", f"ENGINE_{section}__KEY": "key.pem"})
    engine.configure(
        ENGINE_MSA__ENABLED="true", ENGINE_MSA__PORT=str(smtp_port), ENGINE_METRICS__PORT=str(metrics_port)
    )
    engine.trust = ssl.create_default_context(cafile=tmp_path / "ca.pem")
    engine.start()
    url = f"https://{HOST}:{engine.port}"
    engine.wait_for_line(rf"listens on {url},")

    # People: the cookie of the session is for this host alone.
    link = engine.wait_for_line(rf"^{url}/admin/enter\?key=(\S+)$")[1]
    form = urlencode({"key": link, "name": "ann", "password": "correct horse battery"}).encode()
    entered = engine.request(
        "POST", "/admin/enter", form, headers={"Content-Type": "application/x-www-form-urlencoded"}, token=""
    )
    assert entered.status == 303 and entered.headers["Strict-Transport-Security"]
    assert re.match(r"__Host-.*; Secure; ", entered.headers["Set-Cookie"])

    # Commands: by the control socket, by its URL, and what a certificate that is not trusted is told.
    asked = ["account", "list", "--url", url, "--token", engine.token]
    assert engine.command(*asked, "--ca", "ca.pem").stderr == ""
    with pytest.raises(subprocess.CalledProcessError) as refused:
        engine.command(*asked)
    assert "its certificate is not accepted" in refused.value.stderr and "--ca names" in refused.value.stderr
    assert "where an engine answers" in engine.command("doctor").stdout

    # Prometheus: by a port of its own, in plain HTTP and without a token.
    engine.wait_for_line(rf"Prometheus reads http://{HOST}:{metrics_port}/metrics$")
    with urlopen(f"http://{HOST}:{metrics_port}/metrics") as scraped:
        assert b'\nmailbox_engine_certificate_ends_seconds{port="msa"} 3' in scraped.read()

    # A renewed certificate, and one that cannot be used.
    def shown() -> list[str]:
        found = [ssl.get_server_certificate((HOST, engine.port))]
        with smtplib.SMTP(HOST, smtp_port) as client:
            client.starttls(context=engine.trust)
            assert isinstance(client.sock, ssl.SSLSocket)
            found.append(ssl.DER_cert_to_PEM_cert(client.sock.getpeercert(binary_form=True) or b""))
        return found

    def reload(said: str) -> None:
        before = len(engine.log)
        os.kill(engine.pid, signal.SIGHUP)
        wait_until(lambda: engine.log[before:].count(said) == 2 and "is reloaded" in engine.log[before:], said)

    first = FIRST.cert_chain_pems[0].bytes().decode().strip()
    renewed = RENEWED.cert_chain_pems[0].bytes().decode().strip()
    assert [each.strip() for each in shown()] == [first, first]
    put(tmp_path, RENEWED)
    reload("was read again; it ends on")
    assert [each.strip() for each in shown()] == [renewed, renewed]
    (tmp_path / "key.pem").write_bytes(FIRST.private_key_pem.bytes())
    reload("cannot be used, the old one stays")
    assert [each.strip() for each in shown()] == [renewed, renewed]
    assert engine.request("GET", "/health").status == 200 and engine.command("account", "list").returncode == 0
    assert engine.terminate() == 0

    # At a start, the same is one line.
    with pytest.raises(RuntimeError, match="the engine ended with 2"):
        engine.start()
    assert engine.log.rstrip().rsplit("\n", 1)[-1] == (
        f"engine: http.key {'key.pem'} does not belong to http.cert {'cert.pem'}"
    )
