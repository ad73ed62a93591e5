"""What the provider does for one account alone: its script, its time, and what waits on purpose.

Time that is moved forward for an account (`move`) ends the waits of its connections sooner: those of a reply that the
script delays, and of silence, which a client endures for `patience` seconds. No other account's waits are touched.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from contextlib import contextmanager

import trio

from engine.errors import NetworkError, NetworkKind
from engine.sandbox.script import Script, ScriptedFault, ScriptStep, Server, Stage
from engine.sandbox.streams import MemoryStream

PATIENCE = 600.0
"""Seconds after which a client that hears nothing gives up at the latest, unless the configuration differs."""
_SAID = {
    ScriptedFault.REFUSED: (NetworkKind.CONNECT, "ECONNREFUSED", "connect ECONNREFUSED {host}:{port}"),
    ScriptedFault.UNKNOWN_HOST: (NetworkKind.DNS, "ENOTFOUND", "getaddrinfo ENOTFOUND {host}"),
    ScriptedFault.TIMEOUT: (NetworkKind.TIMEOUT, "ETIMEDOUT", "connect ETIMEDOUT {host}:{port}"),
    ScriptedFault.CERTIFICATE: (
        NetworkKind.TLS,
        "DEPTH_ZERO_SELF_SIGNED_CERT",
        "{host}:{port}: self-signed certificate",
    ),
}


class Rehearsal:
    """One account's part in the sandbox. `account` is its id, None for nobody's; `script` None: it has none."""

    def __init__(self, account: str | None = None, script: Script | None = None, patience: float = math.inf) -> None:
        self.account = account
        self.moved = 0.0
        """Seconds by which its time was moved forward since the process began."""
        self.imap_connections: set[MemoryStream] = set()
        self._script = script
        self._patience = patience
        self._waits: set[trio.CancelScope] = set()

    async def take(
        self, server: Server, stage: Stage, recipients: Collection[str] = (), attempt: object = None
    ) -> ScriptStep | None:
        """The step that acts now, counted; None: none acts."""
        if self._script is None:
            return None
        return await self._script.take(server, stage, recipients, attempt)

    def begins_anew(self) -> bool:
        """Whether a step waits for a new SMTP connection, so that one which is open must not be used again."""
        return self._script is not None and self._script.begins_anew()

    async def refuse_dial(self, server: Server, host: str, port: int) -> None:
        """Raise `NetworkError` if the script says so."""
        step = await self.take(server, Stage.CONNECT)
        if step is not None and step.fault in _SAID:
            kind, code, text = _SAID[step.fault]
            raise NetworkError(kind, code, text.format(host=host, port=port))

    def hang_up_imap(self) -> None:
        """Close its IMAP connections without a BYE."""
        for stream in self.imap_connections:
            stream.close()

    async def wait(self, seconds: float) -> None:
        """Return when so many seconds have passed for this account."""
        with self._waiting(seconds):
            await trio.sleep_forever()

    async def be_silent(self, stream: MemoryStream) -> None:
        """Send nothing and ignore what comes, until the client hangs up or its patience has ended."""
        with self._waiting(self._patience) as scope:
            while await stream.receive_some():
                pass
        if scope.cancelled_caught:
            stream.time_out()

    @contextmanager
    def _waiting(self, seconds: float) -> Iterator[trio.CancelScope]:
        with trio.CancelScope(deadline=trio.current_time() + seconds) as scope:
            self._waits.add(scope)
            try:
                yield scope
            finally:
                self._waits.discard(scope)

    @property
    def waits_until(self) -> float | None:
        """When the first of its connections goes on, by Trio's clock; None: none waits."""
        return min((scope.deadline for scope in self._waits), default=None)

    def move(self, seconds: float) -> None:
        """Let this time pass at once."""
        self.moved += seconds
        for scope in self._waits:
            scope.deadline -= seconds
