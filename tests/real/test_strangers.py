"""The engine's port in a stranger's hands: what ended the process once, and a short run of scripts/fuzz_http."""

from __future__ import annotations

import socket
import subprocess
import sys

import pytest
from real.engine_process import REPOSITORY, EngineProcess
from real.processes import PATIENCE_SECONDS

pytestmark = pytest.mark.process

UPGRADE = (
    b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
    b"HTTP2-Settings: %b\r\n\r\n"
)
HANDSHAKE = (
    b"GET /v1/events/stream HTTP/1.1\r\nHost: x\r\nConnection: %b\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n%b\r\n"
)
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"
PRIORITY = b"\x00\x00\x05\x02\x00\x00\x00\x00\x03\x00\x00\x00\x01\x10"


def say(engine: EngineProcess, data: bytes) -> bytes:
    """What comes back to a client that says `data` and half-closes."""
    received = b""
    with socket.create_connection((engine.host, engine.port), timeout=PATIENCE_SECONDS) as client:
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        while chunk := client.recv(65536):
            received += chunk
    return received


def test_no_bytes_end_the_process(engine: EngineProcess) -> None:
    login = f"Authorization: Bearer {engine.token}\r\n".encode()
    frame = b"\x81\x82\x00\x00\x00\x00hi"
    for data, answer in [
        (UPGRADE % b"a", b"HTTP/1.1 200 OK"),
        (UPGRADE % b"AAX_____", b"HTTP/1.1 200 OK"),
        (UPGRADE % b"AAMAAABkAAQAAP__" + PREFACE, b"HTTP/1.1 200 OK"),
        (HANDSHAKE % (b"Upgrade", b"") + b"\x81", b"HTTP/1.1 401 Unauthorized"),
        (HANDSHAKE % (b"Upgrade", b"") + frame, b"HTTP/1.1 401 Unauthorized"),
        (HANDSHAKE % (b"Upgrade", login) + b"\x81", b"HTTP/1.1 101 Switching Protocols"),
        (HANDSHAKE % (b"Upgrade", login) + frame, b"HTTP/1.1 101 Switching Protocols"),
        (HANDSHAKE % (b"Upgrade, \xff", b""), b"HTTP/1.1 400 Bad Request"),
        (HANDSHAKE % (b"Upgrade", b"Sec-WebSocket-Protocol: \xff\r\n"), b"HTTP/1.1 400 Bad Request"),
        (HANDSHAKE % (b"Upgrade", b"Sec-WebSocket-Extensions: \xff\r\n"), b"HTTP/1.1 400 Bad Request"),
        (PREFACE + PRIORITY * 1500, b"HTTP/1.1 505 HTTP Version Not Supported"),
        (b"CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\n", b"HTTP/1.1 405 Method Not Allowed"),
        (b"CONNECT /v1/events/stream HTTP/2.0\r\nHost: x\r\n\r\n", b"HTTP/1.1 505 HTTP Version Not Supported"),
        (b"GET http://[ HTTP/1.1\r\nHost: x\r\n\r\n", b"HTTP/1.1 200 OK"),
        (b"GET ?x HTTP/1.1\r\nHost: x\r\n\r\n", b"HTTP/1.1 400 Bad Request"),
        (b"GET / HTTP/1.1\r\nHost: a..b\r\n\r\n", b"HTTP/1.1 400 Bad Request"),
    ]:
        assert say(engine, data).startswith(answer), data
        assert engine.request("GET", "/health").status == 200
    assert " ERROR " not in engine.log


def test_errors_of_the_api_are_what_clients_read(engine: EngineProcess) -> None:
    for method, path, line, allow in [
        ("GET", "/nothing", "404 Not Found", None),
        ("DELETE", "/v1/account", "405 Method Not Allowed", "OPTIONS, POST"),
        ("BREW", "/health", "405 Method Not Allowed", "GET, HEAD, OPTIONS"),
        ("GET", "/v1/events/stream", "426 Upgrade Required", None),
        ("GET", "/v1/account/nobody", "404 Not Found", None),
    ]:
        login = f"Host: x\r\nAuthorization: Bearer {engine.token}\r\n"
        head, _, body = say(engine, f"{method} {path} HTTP/1.1\r\n{login}\r\n".encode()).partition(b"\r\n\r\n")
        assert head.startswith(f"HTTP/1.1 {line}\r\n".encode())
        assert b"application/json" in head and body.startswith(b'{"statusCode":' + line[:3].encode())
        assert allow is None or f"\r\nallow: {allow}".encode() in head
    for asked in (b"HEAD /v1/events/sse", b"HEAD /health", b"HEAD /nothing"):
        head_login = f" HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {engine.token}\r\n\r\n".encode()
        assert say(engine, asked + head_login).endswith(b"\r\n\r\n")


def test_a_short_run_of_the_fuzzer_finds_nothing() -> None:
    script = REPOSITORY / "scripts" / "fuzz_http.py"
    options = ["--minutes", "0.15", "--seed", "4711", "--health", "10"]
    done = subprocess.run([sys.executable, script, *options], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr[-3000:]}"
    assert ", 0 findings" in done.stdout
