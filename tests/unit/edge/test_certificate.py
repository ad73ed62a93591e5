"""A port's certificate: what cannot be used is named at the start, and leaves the old one in force later."""

from __future__ import annotations

import datetime
import logging
import os
import ssl
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from engine.edge.certificate import Certificate
from engine.errors import ConfigError
from engine.world import World

AUTHORITY = trustme.CA()
GOOD, OTHER = AUTHORITY.issue_cert("good.example.com"), AUTHORITY.issue_cert("other.example.com")
YESTERDAY = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)
EXPIRED = AUTHORITY.issue_cert("expired.example.com", not_after=YESTERDAY)


def written(folder: Path, leaf: trustme.LeafCert, key: bytes | None = None) -> tuple[str, str]:
    """The two files, replaced as certbot does: by other files."""
    for name, data in (
        ("cert.pem", b"".join(part.bytes() for part in leaf.cert_chain_pems)),
        ("key.pem", key or leaf.private_key_pem.bytes()),
    ):
        (folder / f"new-{name}").write_bytes(data)
        os.replace(folder / f"new-{name}", folder / name)
    return str(folder / "cert.pem"), str(folder / "key.pem")


def made(cert: str, key: str) -> Certificate:
    return Certificate("http", "the API", cert, key, World())


def name_of(context: ssl.SSLContext) -> str:
    """The name in the certificate that a server with this context shows."""
    trust = ssl.create_default_context()
    AUTHORITY.configure_trust(trust)
    trust.check_hostname = False
    inbox, outbox = ssl.MemoryBIO(), ssl.MemoryBIO()
    client, server = trust.wrap_bio(inbox, outbox), context.wrap_bio(outbox, inbox, server_side=True)
    for side in (client, server, client):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            pass
    found = client.getpeercert()
    assert found is not None
    return str(found["subjectAltName"][0][1])


def test_what_cannot_be_used_is_named_in_one_line(tmp_path: Path) -> None:
    good = GOOD.private_key_pem.bytes()
    sealed = load_pem_private_key(good, None).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")
    )
    (tmp_path / "empty.pem").write_bytes(b"")
    (tmp_path / "noise.pem").write_bytes(b"-----BEGIN CERTIFICATE-----\nbm9pc2U=\n-----END CERTIFICATE-----\n")
    (tmp_path / "folder").mkdir()
    cert, key = written(tmp_path, GOOD)
    for file, said in (
        (tmp_path / "none.pem", "none.pem cannot be read: No such file or directory"),
        (tmp_path / "folder", "folder cannot be read: Is a directory"),
        (tmp_path / "empty.pem", "empty.pem has no certificate in PEM form"),
        (tmp_path / "noise.pem", "noise.pem has no certificate in PEM form"),
        (Path(key), "key.pem has no certificate in PEM form"),
    ):
        with pytest.raises(ConfigError, match=rf"^http.cert .*{said}$"):
            made(str(file), key)
    for file, said in (
        (tmp_path / "none.pem", "none.pem cannot be read: No such file or directory"),
        (tmp_path / "empty.pem", "empty.pem has no key in PEM form without a passphrase"),
        (Path(cert), "cert.pem has no key in PEM form without a passphrase"),
    ):
        with pytest.raises(ConfigError, match=rf"^http.key .*{said}$"):
            made(cert, str(file))
    for data, said in (
        (OTHER.private_key_pem.bytes(), "key.pem does not belong to http.cert .*cert.pem$"),
        (sealed, "key.pem has no key in PEM form without a passphrase$"),
    ):
        with pytest.raises(ConfigError, match=rf"^http.key .*{said}"):
            made(*written(tmp_path, GOOD, data))
    with pytest.raises(ConfigError, match=rf"^http.cert .* ended on {YESTERDAY:%Y-%m-%d}.*; renew it$"):
        made(*written(tmp_path, EXPIRED))


def test_only_current_versions_are_spoken(tmp_path: Path) -> None:
    context = made(*written(tmp_path, GOOD)).context()
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert ssl.OP_NO_RENEGOTIATION in context.options


def test_a_renewed_one_is_read_and_a_bad_one_is_not(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, engine_errors: list[logging.LogRecord]
) -> None:
    caplog.set_level(logging.INFO, "engine.edge")
    certificate = made(*written(tmp_path, GOOD))
    first = certificate.context()
    assert name_of(first) == "good.example.com" and certificate.context() is first and not caplog.messages
    written(tmp_path, OTHER)
    assert name_of(certificate.context()) == "other.example.com"
    assert "the certificate of the API was read again; it ends on " in caplog.text
    for leaf, key, why in (
        (GOOD, OTHER.private_key_pem.bytes(), "does not belong to"),
        (EXPIRED, None, "ended on"),
    ):
        caplog.clear()
        written(tmp_path, leaf, key)
        for _ in range(3):
            assert name_of(certificate.context()) == "other.example.com"
        assert [why in each for each in caplog.messages] == [True]
        certificate.reload()
        assert ["the old one stays" in each for each in caplog.messages] == [True, True]
    (tmp_path / "cert.pem").unlink()
    assert name_of(certificate.context()) == "other.example.com"
    written(tmp_path, GOOD)
    assert name_of(certificate.context()) == "good.example.com"
    assert len(engine_errors) == 5


def test_a_reload_reads_files_that_look_the_same(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "engine.edge")
    certificate = made(*written(tmp_path, GOOD))
    first = certificate.context()
    certificate.reload()
    assert certificate.context() is not first and len(caplog.messages) == 1
