"""The SMTP door of an engine process, with clients that others wrote; kills and stops in the middle of a message."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import smtplib
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from real.certificates import Certificates
from real.engine_process import EngineProcess
from real.processes import wait_until
from real.servers import HOST, free_ports

pytestmark = pytest.mark.process

StartEngine = Callable[..., EngineProcess]
NODEMAILER = """
const nodemailer = require("nodemailer");
const [port, pass] = process.argv.slice(1);
const transport = nodemailer.createTransport({host: "127.0.0.1", port: +port, auth: {user: "acme", pass},
  tls: {rejectUnauthorized: false}});
transport.sendMail({from: "a@sandbox.example", to: "you@sandbox.example", subject: "Grüße", text: "x\\n.\\ny",
  attachments: [{filename: "a.bin", content: Buffer.alloc(300000, 7)}]}).then((info) => console.log(info.response));
"""
PHP = """<?php
$s = fsockopen("127.0.0.1", (int) $argv[1]);
function hear($s) { do { $line = fgets($s, 515); } while ($line !== false && $line[3] === "-"); return $line; }
function say($s, $line) { fwrite($s, $line . "\\r\\n"); return hear($s); }
hear($s); say($s, "EHLO php"); say($s, "AUTH LOGIN"); say($s, base64_encode("acme")); say($s, base64_encode($argv[2]));
say($s, "MAIL FROM:<a@sandbox.example>"); say($s, "RCPT TO:<you@sandbox.example>"); say($s, "DATA");
echo say($s, "Subject: php\\r\\n\\r\\nHello\\r\\n."); say($s, "QUIT");
"""


class Door:
    """An engine with a door, the account `acme`, and a token for the door."""

    def __init__(self, engine: EngineProcess, port: int, tls_port: int) -> None:
        self.engine = engine
        self.port = port
        self.tls_port = tls_port
        account = {"account": "acme", "name": "Acme", "email": "acme@sandbox.example", "sandbox": True}
        engine.request("POST", "/v1/account", account)
        engine.wait_for_state("acme", "connected")
        issued = engine.command("tokens", "issue", "-d", "door", "-s", "smtp", "--account", "acme")
        self.token = issued.stdout.strip()

    @contextlib.contextmanager
    def client(self) -> Iterator[smtplib.SMTP]:
        """One that has logged in. The engine may be gone at its end."""
        client = smtplib.SMTP(HOST, self.port, timeout=60)
        try:
            client.login("acme", self.token)
            yield client
        finally:
            client.close()

    def outcomes(self, name: str = "messageSent") -> list[dict[str, Any]]:
        events = self.engine.request("GET", "/v1/events?limit=1000").json["events"]
        return [each["data"] for each in events if each["event"] == name]

    def wait_for_sent(self, number: int) -> list[dict[str, Any]]:
        wait_until(lambda: len(self.outcomes()) >= number, f"{number} messages sent")
        return self.outcomes()


@pytest.fixture
def door(start_engine: StartEngine, tmp_path: Path) -> Iterator[Door]:
    port, tls_port = free_ports(2)
    certificate, key = Certificates(tmp_path).good
    engine = start_engine(
        ENGINE_MSA__ENABLED="true",
        ENGINE_MSA__PORT=str(port),
        ENGINE_MSA__TLS_PORT=str(tls_port),
        ENGINE_MSA__CERT=str(certificate),
        ENGINE_MSA__KEY=str(key),
        ENGINE_RETRY__SCHEDULE="1s",
    )
    yield Door(engine, port, tls_port)


def test_clients_of_others(door: Door) -> None:
    message = EmailMessage()
    message["Subject"], message["From"], message["To"] = "Grüße", "a@sandbox.example", "you@sandbox.example"
    message.set_content("x\n.\n..\ny" * 5000)
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    number = 0
    with door.client() as client:
        client.send_message(message)
        number += 1
    with smtplib.SMTP(HOST, door.port, timeout=60) as client:
        client.starttls(context=context)
        client.login("acme", door.token)
        client.send_message(message)
        number += 1
    with smtplib.SMTP_SSL(HOST, door.tls_port, timeout=60, context=context) as client:
        client.login("acme", door.token)
        client.send_message(message)
        number += 1
    if swaks := shutil.which("swaks"):
        for more in (["-tls", "--auth", "PLAIN"], ["--auth", "LOGIN"], ["--pipeline", "--auth", "PLAIN"]):
            command = [swaks, "--server", f"{HOST}:{door.port}", "--to", "you@sandbox.example", *more]
            command += ["--from", "a@sandbox.example", "--auth-user", "acme", "--auth-password", door.token]
            run = subprocess.run(command, capture_output=True, text=True, check=False)
            assert run.returncode == 0, run.stdout
            number += 1
    if php := shutil.which("php"):
        run = subprocess.run([php, "-r", PHP[6:], "--", str(door.port), door.token], capture_output=True, text=True)
        assert run.stdout.startswith("250 2.0.0 Message queued"), run.stdout + run.stderr
        number += 1
    if node := _node_with_mailer():
        run = subprocess.run([*node, str(door.port), door.token], capture_output=True, text=True)
        assert run.stdout.startswith("250 2.0.0 Message queued"), run.stdout + run.stderr
        number += 1
    assert len(door.wait_for_sent(number)) == number
    stats = door.engine.request("GET", "/v1/stats").json["smtpServer"]
    assert (stats["accepted"], stats["refused"]) == (number, 0)
    assert door.engine.request("GET", "/health").json == {"success": True, "smtpDoor": True}
    assert f"smtps://{HOST}:{door.tls_port}" in door.engine.command("where").stdout
    assert "smtp door: " in door.engine.command("doctor").stdout


def _node_with_mailer() -> list[str] | None:
    node, folder = shutil.which("node"), os.environ.get("NODEMAILER", "")
    return [node, "-e", f"module.paths.push({folder!r});{NODEMAILER}"] if node and folder else None


def test_a_kill_right_after_the_250_loses_nothing(door: Door) -> None:
    with door.client() as client:
        for _ in range(5):
            client.sendmail("a@sandbox.example", "defer1+x@sandbox.example", "Subject: x\r\n\r\n" + "x\r\n" * 200_000)
        door.engine.kill9()
    door.engine.start()
    sent = door.wait_for_sent(5)
    assert len({each["queueId"] for each in sent}) == len(sent) == 5
    wait_until(lambda: not list((door.engine.folder / "spool").iterdir()), "an empty spool")


def test_a_kill_before_the_250_and_a_retry_with_the_key_send_once(door: Door) -> None:
    message = b"X-EE-Idempotency-Key: once\r\nSubject: once\r\n\r\n" + b"x\r\n" * 300_000
    with door.client() as client:
        client.mail("a@sandbox.example")
        client.rcpt("you@sandbox.example")
        client.docmd("DATA")
        client.send(message)
        wait_until(lambda: bool(list((door.engine.folder / "spool").iterdir())), "a file in the spool")
        client.send(b".\r\n")
        door.engine.kill9()
    door.engine.start()
    with door.client() as again:
        again.sendmail("a@sandbox.example", "you@sandbox.example", message)
        again.sendmail("a@sandbox.example", "you@sandbox.example", message)
    assert len(door.wait_for_sent(1)) == 1
    door.engine.terminate()
    door.engine.start()
    assert not list((door.engine.folder / "spool").iterdir())
    assert len(door.outcomes()) == 1


def test_a_stop_says_421_and_lets_a_message_arrive(door: Door) -> None:
    with door.client() as idle, door.client() as busy:
        busy.mail("a@sandbox.example")
        busy.rcpt("you@sandbox.example")
        busy.docmd("DATA")
        os.kill(door.engine.pid, signal.SIGTERM)
        assert idle.getreply()[0] == 421
        busy.send(b"Subject: late\r\n\r\nx\r\n.\r\n")
        assert busy.getreply()[0] == 250
        assert busy.getreply()[0] == 421
    door.engine.wait_for_end()
    door.engine.start()
    assert len(door.wait_for_sent(1)) == 1


def test_crowds_of_strangers_keep_no_client_out(start_engine: StartEngine) -> None:
    (port,) = free_ports(1)
    engine = start_engine(ENGINE_MSA__ENABLED="true", ENGINE_MSA__PORT=str(port), ENGINE_MSA__CONNECTIONS="10")
    door = Door(engine, port, 0)
    with contextlib.ExitStack() as held:
        known = held.enter_context(door.client())
        crowd = [held.enter_context(socket.create_connection((HOST, port))) for _ in range(30)]
        with door.client() as client:
            client.sendmail("a@sandbox.example", "you@sandbox.example", "Subject: x\r\n\r\nx\r\n")
        assert known.noop()[0] == 250
        crowd[0].settimeout(60)
        assert b"421 " in crowd[0].recv(1000) + crowd[0].recv(1000)
