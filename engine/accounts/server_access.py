"""How accounts reach their servers: which addresses may be dialled, how many log in at once, how long to wait."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import msgspec
import trio
from msgspec.structs import replace

from engine.accounts.backoff import Backoff
from engine.accounts.imap_sessions import Connector
from engine.accounts.login_slots import LoginSlots
from engine.accounts.proxy_choice import Routes
from engine.accounts.registration import sandbox_off
from engine.config import Imap
from engine.egress import Egress
from engine.oauth.http_client import Wire
from engine.proxies.route import DIRECT, Route
from engine.sandbox.provider import Sandbox
from engine.settings import SettingsBook
from engine.silent_hosts import Hosts, Via
from engine.smtp.offered_sizes import OfferedSizes
from engine.transport import Endpoint
from engine.world import Dial, World

CLIENT_NAME = "mailbox-engine"
ID_OCTETS = 1024
AnyEndpoint = TypeVar("AnyEndpoint", bound=Endpoint)


class ServerAccess(msgspec.Struct, frozen=True):
    """Shared by all accounts. `logins` limits simultaneous logins; `sandbox` is None if it is switched off.

    `sizes` are the limits that SMTP servers have stated.
    """

    imap: Imap
    hosts: Hosts
    logins: LoginSlots
    egress: Egress
    sandbox: Sandbox | None
    routes: Routes
    world: World
    settings: SettingsBook
    sizes: OfferedSizes = msgspec.field(default_factory=OfferedSizes)

    def dial(self, *, sandbox: str | None, restricted: bool, route: Route = DIRECT) -> Dial:
        """The `Dial` for a server: into the sandbox, or by `route` to addresses allowed for mail servers.

        `sandbox` is the account that dials into the sandbox; "": none that is registered. `restricted`: the server was
        set with a token for one account.
        """
        if sandbox is not None:
            if self.sandbox is None:
                return sandbox_off
            return self.sandbox.dial_for(sandbox) if sandbox else self.sandbox.dial
        return self.egress.dialer(restricted=restricted, mail=True, route=route)

    def provider_wire(self, route: Callable[[], Route]) -> Wire:
        """The HTTP client for OAuth2 providers, by the current route."""

        def by_route(*, clear_text: bool) -> Dial:
            async def dial(host: str, port: int) -> trio.abc.Stream:
                return await self.egress.dialer(restricted=False, route=route(), clear_text=clear_text)(host, port)

            return dial

        return Wire(by_route(clear_text=False), by_route(clear_text=True), self.egress.clocks.note)

    @property
    def connector(self) -> Connector:
        """What sets up IMAP sessions."""
        return Connector(self.logins, self.hosts, self.world, self.client_id, self.as_set)

    @property
    def any_certificate(self) -> bool:
        """Whether servers may have untrusted certificates if the account does not say."""
        return self.settings.values.ignore_mail_cert_errors is True

    def as_set(self, endpoint: AnyEndpoint) -> AnyEndpoint:
        """A server with the settings' rule for certificates."""
        if not (self.any_certificate and endpoint.tls.may_be_lax):
            return endpoint
        return replace(endpoint, tls=replace(endpoint.tls, reject_unauthorized=False))

    def client_id(self) -> dict[str, str]:
        """What the engine calls itself at IMAP servers (RFC 2971), each value in at most 1,024 octets."""
        values = self.settings.values
        own = {"name": CLIENT_NAME} if values.imap_client_name else {"name": CLIENT_NAME, "vendor": CLIENT_NAME}
        given = {
            "name": values.imap_client_name,
            "version": values.imap_client_version,
            "vendor": values.imap_client_vendor,
            "support-url": values.imap_client_support_url,
        }
        said = own | {name: value for name, value in given.items() if value}
        return {name: value.encode()[:ID_OCTETS].decode(errors="ignore") for name, value in said.items()}

    def backoff(self, host: str, port: int, via: Via = None) -> Backoff:
        """The waits between connections to one server, behind the proxy `via` if there is one."""
        shortest, longest = self.imap.reconnect_min, self.imap.reconnect_max
        return Backoff(shortest, longest, self.hosts, self.world.random, host, port, via)
