"""Who may log in at the SMTP door: an account's id with a token of scope `smtp`, or with `msa.password`.

A token for one account logs in as that account only; its permissions must allow `send` in `submit`, and its
restrictions hold (`engine.edge.token_gate`): each message counts as one request. The token is looked up at each login
and again before each message, so one that was revoked is refused from the next message on. Wrong ones count with those
of the HTTP API: an address that sends too many has to wait (`engine.edge.wrong_tokens`).
"""

from __future__ import annotations

import hmac
import sqlite3
from collections.abc import Callable

import msgspec

from engine.edge.token_gate import Asked, Refused, TokenGate
from engine.edge.wrong_tokens import WrongTokens
from engine.model.token_permissions import SUBMISSION
from engine.msa.replies import one_line
from engine.store import tokens
from engine.world import World

SCOPE = "smtp"
_REFUSED = "535 5.7.8 Authentication failed: "
_BECAUSE = {
    "scope": "the token lacks the scope smtp: engine tokens issue -s smtp",
    "address": "the token may not be used from your address",
    "referrer": "the token is for web pages alone",
}


class Login(msgspec.Struct, frozen=True):
    """A client that has logged in; `token` is the token's hash, None for `msa.password`."""

    account: str
    token: str | None


class Logins:
    """Checks logins. `is_account` says whether an account is registered."""

    def __init__(
        self,
        db: sqlite3.Connection,
        password: str,
        wrong: WrongTokens,
        gate: TokenGate,
        is_account: Callable[[str], bool],
        world: World,
    ) -> None:
        self._db = db
        self._password = password.encode()
        self._wrong = wrong
        self._gate = gate
        self._is_account = is_account
        self._world = world

    def check(self, account: str, secret: str, address: str) -> Login | str:
        """The login, or the reply that refuses it. `address` is the client's."""
        account = account.strip()
        if self._password and hmac.compare_digest(secret.encode(), self._password):
            if self._is_account(account):
                return Login(account, None)
            return self._refusal(address)
        token = tokens.find(self._db, secret.strip(), self._world.now())
        if token is None or token.account not in (None, account):
            return self._refusal(address)
        asked = Asked("SMTP", "AUTH", SCOPE, SUBMISSION, address, None, account, elsewhere=False)
        try:
            self._gate.enter(token, asked, counts=False)
        except Refused as refused:
            return _REFUSED + _BECAUSE.get(refused.reason, "the permissions of the token do not allow it to send")
        if not self._is_account(account):
            return one_line(f"{_REFUSED}there is no account {account}")
        self._gate.note(token, asked)
        return Login(account, token.hash)

    def refuse_message(self, login: Login) -> str | None:
        """The reply that refuses one more message; None accepts it, and counts it.

        It begins with 421 if the token was revoked or has expired: then no further message will be accepted.
        """
        if login.token is None:
            return None
        token = tokens.valid(self._db, login.token, self._world.now())
        if token is None:
            return "421 4.7.0 The token has been revoked or has expired: log in with another one"
        try:
            self._gate.count(token)
        except Refused as refused:
            assert refused.counted is not None
            return f"451 4.7.1 The rate limit of the token is reached: wait {refused.counted.reset} s"
        return None

    def _refusal(self, address: str) -> str:
        problem = self._wrong.refusal(address)
        if problem.status == 429:
            wait = problem.headers["Retry-After"]
            return f"454 4.7.0 Too many failed logins from your address: wait {wait} s"
        return "535 5.7.8 Authentication failed: give the account id and a token with the scope smtp"
