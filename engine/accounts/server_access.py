"""How accounts reach their servers: which addresses may be dialled, how many log in at once, how long to wait."""

from __future__ import annotations

import msgspec

from engine.accounts.backoff import Backoff
from engine.accounts.login_slots import LoginSlots
from engine.accounts.registration import sandbox_off
from engine.accounts.routes import Routes
from engine.accounts.sessions import Connector
from engine.config import Imap
from engine.egress import Egress
from engine.hosts import Hosts, Via
from engine.proxies.route import DIRECT, Route
from engine.sandbox.provider import Sandbox
from engine.world import Dial, World


class ServerAccess(msgspec.Struct, frozen=True):
    """Shared by all accounts. `logins` limits simultaneous logins; `sandbox` is None if it is switched off."""

    imap: Imap
    hosts: Hosts
    logins: LoginSlots
    egress: Egress
    sandbox: Sandbox | None
    routes: Routes
    world: World

    def dial(self, *, sandbox: bool, restricted: bool, route: Route = DIRECT) -> Dial:
        """The `Dial` for a server: into the sandbox, or by `route` to addresses allowed for mail servers.

        `restricted`: the server was set with a token for one account.
        """
        if sandbox:
            return self.sandbox.dial if self.sandbox is not None else sandbox_off
        return self.egress.dialer(restricted=restricted, mail=True, route=route)

    @property
    def connector(self) -> Connector:
        """A connector for IMAP sessions."""
        return Connector(self.logins, self.hosts, self.world)

    def backoff(self, host: str, port: int, via: Via = None) -> Backoff:
        """The waits between connections to one server, behind the proxy `via` if there is one."""
        shortest, longest = self.imap.reconnect_min, self.imap.reconnect_max
        return Backoff(shortest, longest, self.hosts, self.world.random, host, port, via)
