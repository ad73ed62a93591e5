"""docs/reverse-proxy.md: the configurations that it shows, run as they stand but for names, ports and certificates."""

from __future__ import annotations

import base64
import http.client
import json
import os
import re
import shutil
import ssl
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
import trio_websocket
from real.certificates import Certificates
from real.engine_process import REPOSITORY, EngineProcess
from real.processes import PATIENCE_SECONDS, wait_until
from real.servers import HOST, accepts, free_ports
from real.test_event_channels import messages, register

pytestmark = [pytest.mark.real, pytest.mark.process]

DOCUMENT = (REPOSITORY / "docs" / "reverse-proxy.md").read_text(encoding="utf-8")
CLIENT = "127.0.0.9"
"""Where the client is, so that its address differs from the proxy's."""


def shown(language: str) -> str:
    """The one block of the document in this language."""
    (found,) = re.findall(rf"^```{language}\n(.*?)^```", DOCUMENT, re.MULTILINE | re.DOTALL)
    return str(found)


def replaced(text: str, **others: tuple[str, str]) -> str:
    for here, there in others.values():
        assert here in text, here
        text = text.replace(here, there)
    return text


def nginx(folder: Path, engine: EngineProcess, certificates: Certificates, port: int) -> list[str]:
    """The arguments of nginx that run the configuration of the document."""
    chain, key = certificates.good
    at = "/etc/letsencrypt/live/mail.example.com"
    server = replaced(
        shown("nginx"),
        engine=("127.0.0.1:3000", f"{engine.host}:{engine.port}"),
        listen=("listen 443 ssl", f"listen {HOST}:{port} ssl"),
        chain=(f"{at}/fullchain.pem", str(chain)),
        key=(f"{at}/privkey.pem", str(key)),
    )
    temporary = "".join(
        f"{name}_temp_path {folder}/{name};\n" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"daemon off; user root; pid {folder}/pid; error_log {folder}/error.log;\n"
        f"events {{}}\nhttp {{\naccess_log off;\n{temporary}{server}}}\n"
    )
    return ["-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log")]


def caddy(folder: Path, engine: EngineProcess, certificates: Certificates, port: int) -> list[str]:
    """The arguments of Caddy that run the configuration of the document."""
    chain, key = certificates.good
    site = replaced(
        shown("caddy"),
        engine=("127.0.0.1:3000", f"{engine.host}:{engine.port}"),
        listen=("mail.example.com {", f"https://{HOST}:{port} {{\n    tls {chain} {key}"),
    )
    options = f"{{\n    admin off\n    auto_https disable_redirects\n    storage file_system {folder}/storage\n}}\n"
    (folder / "Caddyfile").write_text(options + site)
    return ["run", "--config", str(folder / "Caddyfile"), "--adapter", "caddyfile"]


class Proxied:
    """A client of the engine behind the proxy."""

    def __init__(self, engine: EngineProcess, certificates: Certificates, port: int) -> None:
        self.engine = engine
        self.port = port
        self.tls = ssl.create_default_context(cadata=certificates.ca_pem)

    @contextmanager
    def asking(self, method: str, path: str, body: Any = None) -> Iterator[http.client.HTTPResponse]:
        connection = http.client.HTTPSConnection(
            HOST, self.port, timeout=PATIENCE_SECONDS, context=self.tls, source_address=(CLIENT, 0)
        )
        headers = {"Authorization": f"Bearer {self.engine.token}", "Content-Type": "application/json"}
        headers["X-Forwarded-For"] = "203.0.113.7"  # no one's to believe
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            yield connection.getresponse()
        finally:
            connection.close()

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        with self.asking(method, path, body) as response:
            data = response.read()
            assert response.status == 200, data
            return json.loads(data)


@pytest.fixture(scope="module", params=[nginx, caddy], ids=["nginx", "caddy"])
def proxied(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, certificates: Certificates
) -> Iterator[Proxied]:
    make: Callable[[Path, EngineProcess, Certificates, int], list[str]] = request.param
    program = shutil.which(make.__name__, path="/usr/sbin:/usr/bin")
    if program is None and os.environ.get("CI") != "true":
        pytest.skip(f"{make.__name__} is not installed")
    engine = EngineProcess(tmp_path_factory.mktemp("engine"), ENGINE_HTTP__PROXIES="127.0.0.1")
    engine.start()
    register(engine, "orders")
    (port,) = free_ports(1)
    folder = tmp_path_factory.mktemp("proxy")
    command = [program or make.__name__, *make(folder, engine, certificates, port)]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env={"HOME": str(folder), "PATH": "/usr/bin"})
    try:
        wait_until(lambda: accepts(HOST, port) or process.poll() is not None, "the proxy")
        assert process.poll() is None, (folder / "log").read_text()
        yield Proxied(engine, certificates, port)
    finally:
        process.terminate()
        process.wait()
        engine.kill9()
    assert "Traceback" not in engine.log


def test_large_submissions_pass(proxied: Proxied) -> None:
    file = {"filename": "a.bin", "content": base64.b64encode(bytes(6_000_000)).decode()}
    body = {"to": {"address": "x@sandbox.example"}, "text": "t", "attachments": [file]}
    assert proxied.ask("POST", "/v1/account/orders/submit", body)["queueId"]


def test_events_come_as_they_happen(proxied: Proxied) -> None:
    with proxied.asking("GET", "/v1/changes") as response:
        proxied.ask("PUT", "/v1/account/orders/reconnect", {"reconnect": True})
        assert messages(response, 1)


async def test_websockets_pass(proxied: Proxied) -> None:
    url = f"wss://{HOST}:{proxied.port}/v1/events/stream?after=0&access_token={proxied.engine.token}"
    with trio.fail_after(PATIENCE_SECONDS):
        async with trio_websocket.open_websocket_url(url, ssl_context=proxied.tls) as socket:
            while "seq" not in json.loads(await socket.get_message()):
                pass


def test_the_client_keeps_its_address(proxied: Proxied) -> None:
    proxied.ask("PUT", "/v1/account/orders", {"name": "Renamed"})
    audit = proxied.engine.command("audit", "--json", "--limit", "1").stdout
    assert json.loads(audit)["address"] == CLIENT


def test_pages_pass(proxied: Proxied) -> None:
    for path in ("/", "/docs/errors", "/admin/sign-in"):
        with proxied.asking("GET", path) as response:
            assert (response.status, b"<html" in response.read()) == (200, True), path
