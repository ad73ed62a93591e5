"""The certificate of a port: read at the start, at SIGHUP and when its files change; renewing it needs no restart.

Connections keep the certificate with which they began. One that cannot be used stops the start; later, the old one
stays, and the log says why. What cannot be used: a file that is missing or has no certificate or key in PEM form, a key
with a passphrase or of another certificate, and a certificate whose time is over.
"""

from __future__ import annotations

import logging
import os
import ssl
from pathlib import Path

from cryptography import x509

from engine.errors import ConfigError
from engine.isotime import iso
from engine.world import World

log = logging.getLogger("engine.edge")


class Certificate:
    """The certificate in two PEM files, which `section`.cert and .key name. `place` is the port, in words.

    Raises `ConfigError` if it cannot be used at the start.
    """

    def __init__(self, section: str, place: str, cert: str, key: str, world: World) -> None:
        self._section = section
        self._place = place
        self._cert, self._key = Path(cert), Path(key)
        self._world = world
        self.ends = 0.0
        """When it ends, in seconds since 1970."""
        self._seen = self._stamps()
        self._failed: object = None
        self._context = self._read()

    def context(self) -> ssl.SSLContext:
        """The TLS context for the next connection; the former one while the files cannot be used. Takes 0.1 ms."""
        stamps = self._stamps()
        if stamps not in (self._seen, self._failed):
            self._renew(stamps)
        return self._context

    def reload(self) -> None:
        """Read the files again, changed or not; say in the log which certificate is in use."""
        self._renew(self._stamps())

    def _renew(self, stamps: object) -> None:
        try:
            self._context = self._read()
        except ConfigError as error:
            self._failed = stamps
            log.error("the new certificate of %s cannot be used, the old one stays: %s", self._place, error)
            return
        self._seen, self._failed = stamps, None
        log.info("the certificate of %s was read again; it ends on %s", self._place, iso(self.ends))

    def _read(self) -> ssl.SSLContext:
        """The files as they are now. Raises `ConfigError`."""
        try:
            first = x509.load_pem_x509_certificates(self._cert.read_bytes())[0]
        except OSError as error:
            raise self._wrong("cert", f"cannot be read: {error.strerror}") from error
        except (ValueError, IndexError) as error:
            raise self._wrong("cert", "has no certificate in PEM form") from error
        ends = first.not_valid_after_utc.timestamp()
        if ends <= self._world.now():
            raise self._wrong("cert", f"ended on {iso(ends)}; renew it")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.options |= ssl.OP_NO_RENEGOTIATION
        try:
            self._key.read_bytes()
            # A passphrase would be asked for at the terminal.
            context.load_cert_chain(self._cert, self._key, password=lambda: b"")
        except ssl.SSLError as error:
            if error.reason == "KEY_VALUES_MISMATCH":
                raise self._wrong("key", f"does not belong to {self._section}.cert {self._cert}") from error
            raise self._wrong("key", "has no key in PEM form without a passphrase") from error
        except OSError as error:
            raise self._wrong("key", f"cannot be read: {error.strerror}") from error
        self.ends = ends
        return context

    def _wrong(self, name: str, what: str) -> ConfigError:
        return ConfigError(f"{self._section}.{name} {self._cert if name == 'cert' else self._key} {what}")

    def _stamps(self) -> object:
        found = []
        for file in (self._cert, self._key):
            try:
                stat = os.stat(file)
            except OSError:
                found.append((0, 0, 0))
            else:
                found.append((stat.st_ino, stat.st_mtime_ns, stat.st_size))
        return found
