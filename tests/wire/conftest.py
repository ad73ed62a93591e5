"""TLS of the scripted servers."""

import ssl

import pytest
import trio
import trustme
from imap_script import Server
from smtp_script import HOST

from engine.transport import TlsRules


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture(scope="module")
def upgrade(authority):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(HOST).configure_cert(context)
    return lambda server: Server(trio.SSLStream(server.stream, context, server_side=True, https_compatible=True))


@pytest.fixture
def trusting(authority):
    return TlsRules(ca=authority.cert_pem.bytes().decode(), required=True)
