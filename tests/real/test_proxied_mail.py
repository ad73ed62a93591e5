"""An engine process that sends by a real Postfix and reads a real Dovecot through a proxy, with TLS to both."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import trio
from proxy_server import ProxyServer
from real.dovecot import Dovecot
from real.engine_process import EngineProcess
from real.postfix import Postfix
from real.processes import PATIENCE_SECONDS, wait_until
from real.servers import HOST

pytestmark = [pytest.mark.real, pytest.mark.process]

LOGIN = ("jo", "correct horse")
FROM = "127.0.0.77"
"""An address of this machine that no other connection uses."""


class ProxyThread:
    """A proxy on real sockets. `peers` has the address that each client came from."""

    def __init__(self, protocol: str) -> None:
        self.proxy = ProxyServer(protocol, trio.open_tcp_stream, LOGIN)
        self.peers: list[str] = []
        self.port = 0
        self._ready = threading.Event()
        self._thread = threading.Thread(target=trio.run, args=(self._run,))

    def __enter__(self) -> ProxyThread:
        self._thread.start()
        assert self._ready.wait(PATIENCE_SECONDS)
        return self

    def __exit__(self, *_: object) -> None:
        self._token.run_sync_soon(self._scope.cancel)
        self._thread.join(10)

    async def _run(self) -> None:
        self._token = trio.lowlevel.current_trio_token()
        (listener,) = await trio.open_tcp_listeners(0, host=HOST)
        self.port = listener.socket.getsockname()[1]

        async def serve(stream: trio.SocketStream) -> None:
            self.peers.append(stream.socket.getpeername()[0])
            await self.proxy.serve(stream)

        with trio.CancelScope() as self._scope:
            self._ready.set()
            await trio.serve_listeners(serve, [listener])


@pytest.fixture(params=["socks5", "http"])
def proxy(request: pytest.FixtureRequest) -> Iterator[ProxyThread]:
    with ProxyThread(request.param) as running:
        yield running


def registration(dovecot: Dovecot, postfix: Postfix, **more: Any) -> dict[str, Any]:
    login, password = dovecot.user()
    auth = {"user": login, "pass": password}
    ca = {"ca": dovecot.ca_pem}
    return {
        "account": "acme",
        "name": "Jane",
        "email": login,
        "imap": {"host": HOST, "port": dovecot.tls_port, "secure": True, "auth": auth, "tls": ca},
        "smtp": {"host": HOST, "port": postfix.port, "secure": False, "auth": auth, "tls": {**ca, "required": True}},
        **more,
    }


def test_mail_goes_and_comes_through_a_proxy(
    start_engine: Any, dovecot: Dovecot, postfix: Postfix, proxy: ProxyThread
) -> None:
    engine: EngineProcess = start_engine()
    url = f"{proxy.proxy.protocol}://jo:correct%20horse@{HOST}:{proxy.port}"
    given = registration(dovecot, postfix, proxy=url, localAddress=FROM)
    assert engine.request("POST", "/v1/account", given).status == 200
    shown = engine.wait_for_state("acme", "connected")
    assert shown["proxy"] == f"{proxy.proxy.protocol}://******@{HOST}:{proxy.port}"
    message = {"to": {"address": given["email"]}, "subject": "through", "text": "x" * 200_000}
    answer = engine.request("POST", "/v1/account/acme/submit", message)
    assert answer.status == 200, answer.body

    def told(name: str) -> list[dict[str, Any]]:
        events = engine.request("GET", f"/v1/events?account=acme&events={name}").json["events"]
        return [each["data"] for each in events]

    wait_until(lambda: bool(told("messageSent")), "messageSent")
    routing = {"proxy": f"{proxy.proxy.protocol}://{HOST}:{proxy.port}", "localAddress": FROM}
    assert told("messageSent")[0]["networkRouting"] == routing
    wait_until(lambda: any(each["subject"] == "through" for each in told("messageNew")), "messageNew")
    assert set(proxy.peers) == {FROM}
    assert set(proxy.proxy.asked) == {(HOST, dovecot.tls_port), (HOST, postfix.port)}
    entry = engine.request("GET", f"/v1/outbox/{answer.json['queueId']}").json
    assert entry["attemptLog"][0]["tls"] is not None
    for file in engine.folder.rglob("*"):
        assert not file.is_file() or b"correct horse" not in file.read_bytes(), file
    assert "correct" not in engine.log


def test_a_wrong_login_at_the_proxy_is_told_as_that(
    start_engine: Any, dovecot: Dovecot, postfix: Postfix, proxy: ProxyThread
) -> None:
    engine: EngineProcess = start_engine()
    url = f"{proxy.proxy.protocol}://jo:incorrect@{HOST}:{proxy.port}"
    assert engine.request("POST", "/v1/account", registration(dovecot, postfix, proxy=url)).status == 200
    error = engine.wait_for_state("acme", "connectError")["lastError"]
    assert error["serverResponseCode"] == "EPROXYAUTH"
    assert "user and password in proxy of the account" in error["description"]
    assert proxy.proxy.asked == []
    assert "incorrect" not in engine.log + str(error)


def test_a_local_address_is_that_of_the_machine(start_engine: Any) -> None:
    engine: EngineProcess = start_engine()
    with socket.socket() as probe:
        probe.bind((FROM, 0))
    for address, status in ((FROM, 200), ("203.0.113.7", 400)):
        given = {"account": "a", "name": "a", "sandbox": True, "localAddress": address}
        answer = engine.request("POST", "/v1/account", given)
        assert answer.status == status, answer.body
    assert answer.json["fields"][0]["path"] == "localAddress"
