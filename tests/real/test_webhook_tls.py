"""Webhooks over TLS: whom the engine believes, what it says of those it does not, and connections used again."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme
from real.certificates import Certificates
from real.engine_process import EngineProcess
from real.processes import wait_until
from real.servers import EXPIRED_HOST, HOST
from real.webhook_receiver import WebhookReceiver

pytestmark = pytest.mark.process


@contextmanager
def secured(certificate: tuple[Path, Path], host: str = HOST) -> Iterator[WebhookReceiver]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    with WebhookReceiver(host, keep_alive=True) as receiver:
        receiver.socket = context.wrap_socket(receiver.socket, server_side=True)
        receiver.url = receiver.url.replace("http:", "https:")
        yield receiver


@pytest.fixture
def trusting(start_engine: Callable[..., EngineProcess], certificates: Certificates, tmp_path: Path) -> EngineProcess:
    """An engine on a machine that trusts the test authority."""
    authority = tmp_path / "authority.pem"
    authority.write_text(certificates.ca_pem)
    return start_engine(SSL_CERT_FILE=str(authority))


def post_to(engine: EngineProcess, url: str) -> dict[str, Any]:
    answer = engine.request("POST", "/v1/webhooks", {"url": url, "events": ["messageSent"]})
    assert answer.status == 200, answer.body
    return engine.request("POST", f"/v1/webhooks/{answer.json['id']}/test").json


def test_events_go_out_over_connections_that_are_used_again(
    trusting: EngineProcess, certificates: Certificates
) -> None:
    with secured(certificates.good) as receiver:
        account = {"account": "a", "name": "A", "email": "a@sandbox.example", "sandbox": True}
        assert trusting.request("POST", "/v1/account", account).status == 200
        trusting.wait_for_state("a", "connected")
        made = trusting.request("POST", "/v1/webhooks", {"url": receiver.url, "events": ["messageSent"]}).json["id"]
        for _ in range(30):
            mail = {"to": {"address": "x@sandbox.example"}, "subject": "s", "text": "t"}
            assert trusting.request("POST", "/v1/account/a/submit", mail).status == 200
        wait_until(lambda: len(receiver.events("messageSent")) == 30, "every event")
        assert len(receiver.connections) == 1
        shown = trusting.request("GET", f"/v1/webhooks/{made}").json
        assert (shown["state"], shown["lastError"]) == ("ok", None)


def test_a_certificate_nobody_vouches_for_is_refused(trusting: EngineProcess, tmp_path: Path) -> None:
    stranger = trustme.CA().issue_cert(HOST, "localhost")
    chain, key = tmp_path / "stranger.pem", tmp_path / "stranger.key"
    stranger.cert_chain_pems[0].write_to_path(chain)
    stranger.private_key_pem.write_to_path(key)
    with secured((chain, key)) as receiver:
        answer = post_to(trusting, receiver.url)
        assert answer["success"] is False
        assert "certificate verify failed" in answer["message"], answer
        assert receiver.webhooks == []


def test_a_certificate_of_somebody_else_is_refused(trusting: EngineProcess, certificates: Certificates) -> None:
    with secured(certificates.wrong_name) as receiver:
        answer = post_to(trusting, receiver.url)
        assert answer["success"] is False
        assert "not valid for" in answer["message"], answer
        assert receiver.webhooks == []


def test_an_expired_certificate_is_refused(trusting: EngineProcess, certificates: Certificates) -> None:
    with secured(certificates.expired, EXPIRED_HOST) as receiver:
        answer = post_to(trusting, receiver.url)
        assert answer["success"] is False
        assert "expired" in answer["message"], answer
        assert receiver.webhooks == []


def test_https_to_where_no_tls_is_spoken_is_said_plainly(
    trusting: EngineProcess, webhook_receiver: WebhookReceiver
) -> None:
    answer = post_to(trusting, webhook_receiver.url.replace("http:", "https:"))
    assert answer["success"] is False
    assert answer["message"].startswith("no TLS: "), answer
