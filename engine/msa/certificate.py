"""The door's certificate: read at the start, and again when its files change: a renewed one needs no restart."""

from __future__ import annotations

import logging
import os
import ssl
from pathlib import Path

from engine.errors import ConfigError

log = logging.getLogger("engine.msa")


class Certificate:
    """The certificate in two PEM files. Raises `ConfigError` if it cannot be read at the start."""

    def __init__(self, cert: str, key: str) -> None:
        self._files = Path(cert), Path(key)
        self._seen = self._stamps()
        self._failed: object = None
        try:
            self._context = self._read()
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(f"msa.cert {cert} with msa.key {key} cannot be used: {_reason(error)}") from error

    def context(self) -> ssl.SSLContext:
        """The TLS context for the next connection; the former one while the files cannot be read. Takes 0.1 ms."""
        stamps = self._stamps()
        if stamps not in (self._seen, self._failed):
            try:
                self._context, self._seen = self._read(), stamps
                log.info("the certificate of the SMTP door has changed and was read again")
            except (OSError, ssl.SSLError) as error:
                self._failed = stamps
                log.error("the new certificate of the SMTP door cannot be used: %s; the old one stays", _reason(error))
        return self._context

    def _read(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        # A passphrase would be asked for at the terminal.
        context.load_cert_chain(*self._files, password=lambda: b"")
        return context

    def _stamps(self) -> object:
        found = []
        for file in self._files:
            try:
                stat = os.stat(file)
            except OSError:
                found.append((0, 0, 0))
            else:
                found.append((stat.st_ino, stat.st_mtime_ns, stat.st_size))
        return found


def _reason(error: OSError) -> str:
    return error.strerror or str(error)
