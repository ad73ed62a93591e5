"""The context that handlers receive."""

from __future__ import annotations

import msgspec

from engine.accounts.account import Account
from engine.accounts.form_links import FormLinks
from engine.accounts.reauth import Reauth
from engine.accounts.registry import Registry
from engine.accounts.rehearsing import Rehearsing
from engine.accounts.server_access import ServerAccess
from engine.errors import Problem
from engine.events.consumers import Consumers
from engine.events.hub import Hub
from engine.events.journal import Journal
from engine.events.state_changes import StateChanges
from engine.events.visible_numbers import VisibleNumbers
from engine.export.service import Exports
from engine.gateways.registry import Gateways
from engine.http.bearer_tokens import Validity
from engine.http.front import Front
from engine.http.problems import NO_ACCOUNT
from engine.http.shared_limits import SharedLimit
from engine.http.websockets import Framed
from engine.metrics.collector import Metrics
from engine.msa.door import Door
from engine.oauth.keepers import OAuth
from engine.oauth.sign_ins import SignIns
from engine.queue.outbox import Outbox
from engine.queue.pause import Pauses
from engine.settings import SettingsBook
from engine.signed_links import LinkKeys
from engine.sinks.service import Sinks
from engine.store.tokens import Token
from engine.store.vault import Vault
from engine.submission.checking import Checking
from engine.submission.submissions import Submissions
from engine.webhooks.registry import EndpointRegistry


class Streams(msgspec.Struct, frozen=True):
    """The source of every stream, and the limits on streams and on named consumers per owner."""

    journal: Journal
    hub: Hub
    consumers: Consumers
    share: SharedLimit
    most_consumers: int
    framed: Framed = msgspec.field(default_factory=Framed)

    def refuse_one_more_consumer(self, owner: str) -> None:
        """Raise `Problem` 429 if this owner has as many consumers as allowed."""
        if len(self.consumers.every(owner)) >= self.most_consumers:
            raise Problem(
                429,
                f"Too many consumers: {self.most_consumers} at most, remove one first",
                code="TooMany",
                headers={"Retry-After": "60"},
            )


class Context(Front, frozen=True):
    """The parts of the engine that handlers use.

    `door` is None unless the SMTP door is enabled, `rehearsing` if the sandbox is switched off.
    """

    vault: Vault
    registry: Registry
    gateways: Gateways
    settings: SettingsBook
    submissions: Submissions
    checking: Checking
    door: Door | None
    outbox: Outbox
    pauses: Pauses
    webhooks: EndpointRegistry
    sinks: Sinks
    access: ServerAccess
    rehearsing: Rehearsing | None
    oauth: OAuth
    link_keys: LinkKeys
    form_links: FormLinks
    reauth: Reauth
    sign_ins: SignIns
    streams: Streams
    changes: StateChanges
    exports: Exports
    metrics: Metrics

    def numbers(self, caller: Token) -> VisibleNumbers:
        """The journal as far as this caller may know it."""
        return VisibleNumbers(self.streams.journal, self.store.reader, caller.account)

    def validity(self, caller: Token) -> Validity:
        """Tells a long request whether this caller's token is still valid."""
        return Validity(self.store.reader, self.world, caller)


def find_account(context: Context, account: str) -> Account:
    """The account with this id. Raises `Problem` 404."""
    found = context.registry.get(account)
    if found is None:
        raise Problem(404, NO_ACCOUNT)
    return found
