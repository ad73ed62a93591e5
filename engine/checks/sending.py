"""Who sends a message and through which server, as far as the rules about domains need it. *pure*"""

from __future__ import annotations

from typing import Literal, NamedTuple

from engine.checks.dkim import Signature
from engine.checks.found import quoted
from engine.checks.sending_services import Service, service_at
from engine.schema.submit_checks import SubmitCheck

FROM = "from"
State = Literal["yes", "no", "unknown"]


class Sending(NamedTuple):
    """Who sends a message, and through which server.

    `author`: the domain in From. `sender`: the envelope's address, "" for the null sender. `login`: the account's user
    at the server, "" without one. `host`: the server's name or address; "" if it is the sandbox.
    """

    author: str
    author_address: str
    sender: str
    login: str
    host: str
    signatures: tuple[Signature, ...] = ()

    @property
    def sender_domain(self) -> str:
        """The domain whose SPF record receivers ask for."""
        return self.sender.rpartition("@")[2].lower()

    @property
    def service(self) -> Service | None:
        """The provider that runs the server, if it is well known."""
        return service_at(self.host)

    @property
    def server(self) -> str:
        """The server in words."""
        service = self.service
        return service.name if service is not None else quoted(self.host) or "the sandbox"


class Judged(NamedTuple):
    """What a rule found. `holds`: whether receivers will see the domain `domain` authenticated by it."""

    checks: tuple[SubmitCheck, ...]
    holds: State = "unknown"
    domain: str = ""
