"""Checks a valid token further, in this order, at every port.

1. Its scopes hold the one required, or `*`.
2. It is for the account in question, or for all accounts.
3. Its permissions allow the action and the group.
4. Its restrictions hold for the client's address and `Referer`; SMTP has no `Referer`, so that a token limited by
   referrers submits no mail there.
5. Its rate limit is not reached. Only requests that come this far count.

Each use of a token is noted as its last one; a refusal goes into its log.
"""

from __future__ import annotations

import msgspec

from engine.edge.token_rates import Counted, TokenRates
from engine.edge.token_uses import TokenUses
from engine.model.token_permissions import ADMIN, Grant, lacking
from engine.model.token_restrictions import outside
from engine.store.token_uses import AskedWith
from engine.store.tokens import Token
from engine.world import World


class Asked(msgspec.Struct, frozen=True):
    """What a token is presented for.

    `address` is None if it is unknown, `account` if the use concerns no particular account. `elsewhere`: it concerns an
    account that is not the token's, or all accounts while the token is for one.
    """

    method: str
    path: str
    scope: str
    grant: Grant
    address: str | None
    referrer: str | None
    account: str | None
    elsewhere: bool


class Refused(Exception):
    """The token may not be used for this.

    `reason` is one of `scope`, `account`, `restricted`, `action`, `group`, `address`, `referrer`, `rateLimit`;
    `counted` has the window that is full.
    """

    def __init__(self, reason: str, counted: Counted | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.counted = counted


class TokenGate:
    """Lets tokens in or refuses them."""

    def __init__(self, uses: TokenUses, world: World) -> None:
        self.uses = uses
        self._rates = TokenRates()
        self._world = world

    def enter(self, token: Token, asked: Asked, *, counts: bool = True) -> Counted | None:
        """Admit a valid token; return what is left of its rate limit, None if it has none. Raises `Refused`.

        Without `counts` the rate limit is not charged: what follows on the connection is.
        """
        self.uses.used(token.hash, asked.address)
        try:
            if (reason := _refusal(token, asked)) is not None:
                raise Refused(reason)
            return self.count(token) if counts else None
        except Refused as refused:
            self.note(token, asked, refused.reason)
            raise

    def count(self, token: Token) -> Counted | None:
        """Count one use alone, as of one more message on a connection. Raises `Refused` beyond the rate limit."""
        limit = None if token.restrictions is None else token.restrictions.rate_limit
        if limit is None:
            return None
        counted = self._rates.count(token.hash, limit)
        if not counted.let_in:
            raise Refused("rateLimit", counted)
        return counted

    def note(self, token: Token, asked: Asked, refusal: str | None = None) -> None:
        """Enter a use in the token's log: a refusal always, others if the settings say so."""
        if refusal is None and not self.uses.logs():
            return
        grant = asked.grant
        self.uses.note(
            AskedWith(
                token.id,
                self._world.now(),
                asked.address,
                asked.method,
                asked.path,
                grant.action,
                grant.group or ADMIN,
                asked.account,
                refusal,
            )
        )


def _refusal(token: Token, asked: Asked) -> str | None:
    if asked.scope not in token.scopes and "*" not in token.scopes:
        return "scope"
    if asked.elsewhere:
        return "account"
    if (lacks := lacking(token.permissions, asked.grant)) is not None:
        return lacks
    if token.restrictions is not None:
        return outside(token.restrictions, asked.address or "", asked.referrer)
    return None
