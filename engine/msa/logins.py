"""Who may log in at the SMTP door: an account's id with a token of scope `smtp`, or with `msa.password`.

A token for one account logs in as that account only. The token is looked up at each login and again before each
message, so one that was revoked is refused from the next message on. Wrong ones count with those of the HTTP API: an
address that sends too many has to wait (`engine.edge.wrong_tokens`).
"""

from __future__ import annotations

import hmac
import sqlite3
from collections.abc import Callable

import msgspec

from engine.edge.token_scopes import allows
from engine.edge.wrong_tokens import WrongTokens
from engine.msa.replies import one_line
from engine.store import tokens
from engine.world import World

SCOPE = "smtp"


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
        is_account: Callable[[str], bool],
        world: World,
    ) -> None:
        self._db = db
        self._password = password.encode()
        self._wrong = wrong
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
        if not allows(token, SCOPE):
            return "535 5.7.8 Authentication failed: the token lacks the scope smtp: engine tokens issue -s smtp"
        if not self._is_account(account):
            return one_line(f"535 5.7.8 Authentication failed: there is no account {account}")
        return Login(account, token.hash)

    def holds(self, login: Login) -> bool:
        """Whether the login is still valid: its token has neither been revoked nor expired."""
        return login.token is None or tokens.exists(self._db, login.token, self._world.now())

    def _refusal(self, address: str) -> str:
        problem = self._wrong.refusal(address)
        if problem.status == 429:
            wait = problem.headers["Retry-After"]
            return f"454 4.7.0 Too many failed logins from your address: wait {wait} s"
        return "535 5.7.8 Authentication failed: give the account id and a token with the scope smtp"
