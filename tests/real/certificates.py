"""The certificates the test servers show: one good, and the two kinds a client must refuse.

All three come from one throw-away authority, whose own certificate is `ca_pem`. Which address of a server
shows which is in `servers.py`.
"""

from __future__ import annotations

import datetime
from pathlib import Path

import trustme
from real.servers import EXPIRED_HOST, HOST


class Certificates:
    """Files in `folder`: `good`, `expired` and `wrong_name` are each (chain file, key file)."""

    def __init__(self, folder: Path) -> None:
        authority = trustme.CA()
        yesterday = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)
        self.ca_pem = authority.cert_pem.bytes().decode()
        self.good = _write(folder, "good", authority.issue_cert(HOST, "localhost", "mail.example.com"))
        self.expired = _write(folder, "expired", authority.issue_cert(EXPIRED_HOST, not_after=yesterday))
        self.wrong_name = _write(folder, "wrong-name", authority.issue_cert("mail.example.org"))


def _write(folder: Path, name: str, certificate: trustme.LeafCert) -> tuple[Path, Path]:
    chain, key = folder / f"{name}.pem", folder / f"{name}.key"
    chain.write_bytes(b"".join(part.bytes() for part in certificate.cert_chain_pems))
    key.touch(mode=0o600)
    key.write_bytes(certificate.private_key_pem.bytes())
    return chain, key
