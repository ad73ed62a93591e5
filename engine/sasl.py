"""SASL, the client's side, for both protocols: pick a mechanism, answer its challenges (RFC 4422).

OAUTHBEARER (RFC 7628), XOAUTH2, PLAIN (RFC 4616), LOGIN and CRAM-MD5 (RFC 2195). Bytes in and out; base64 and framing
belong to the protocol that carries them. A mechanism serves one login: ask `choose` for a fresh one each time. Raises
only `ValueError`: for credentials that cannot be sent and for a challenge its mechanism does not know. It never says
whether the login succeeded; the server's own reply does.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Collection
from typing import Protocol

import msgspec


class Credentials(msgspec.Struct, frozen=True, kw_only=True):
    """Who logs in and with what: a password, an OAuth 2.0 access token, or both (then the token goes first)."""

    user: str
    password: str | None
    access_token: str | None

    def __repr__(self) -> str:
        return f"Credentials(user={self.user!r})"


class Mechanism(Protocol):
    """One login under way."""

    @property
    def name(self) -> str:
        """The registered name, such as `PLAIN`."""

    def initial(self) -> bytes | None:
        """The initial response; None where the server speaks first. Raises `ValueError`."""

    def respond(self, challenge: bytes) -> bytes:
        """The answer to the next challenge. Raises `ValueError` where the mechanism has no answer left."""


def choose(offered: Collection[str], credentials: Credentials) -> Mechanism | None:
    """The best mechanism among `offered` names (any case) that these credentials can serve, None if there is none."""
    names = {name.upper() for name in offered}
    if credentials.access_token is not None:
        if "OAUTHBEARER" in names:
            return _OAuthBearer(credentials.user, credentials.access_token)
        if "XOAUTH2" in names:
            return _XOAuth2(credentials.user, credentials.access_token)
    if credentials.password is not None:
        if "PLAIN" in names:
            return _Plain(credentials.user, credentials.password)
        if "LOGIN" in names:
            return _Login(credentials.user, credentials.password)
        if "CRAM-MD5" in names:
            return _CramMd5(credentials.user, credentials.password)
    return None


class _Plain:
    name = "PLAIN"

    def __init__(self, user: str, password: str) -> None:
        self._user = user
        self._password = password

    def initial(self) -> bytes:
        return b"\0" + _field(self._user, "\0") + b"\0" + _field(self._password, "\0")

    def respond(self, challenge: bytes) -> bytes:
        raise ValueError("PLAIN has no second step")


class _Login:
    name = "LOGIN"

    def __init__(self, user: str, password: str) -> None:
        self._answers = [user, password]

    def initial(self) -> None:
        return None

    def respond(self, challenge: bytes) -> bytes:
        # There is no standard for the prompts' wording; every server asks for the user first.
        if not self._answers:
            raise ValueError("LOGIN has no third step")
        return _field(self._answers.pop(0), "\0")


class _CramMd5:
    name = "CRAM-MD5"

    def __init__(self, user: str, password: str) -> None:
        self._user = user
        self._password = password
        self._answered = False

    def initial(self) -> None:
        return None

    def respond(self, challenge: bytes) -> bytes:
        if self._answered:
            raise ValueError("CRAM-MD5 has no second step")
        self._answered = True
        digest = hmac.new(_field(self._password, "\0"), challenge, hashlib.md5).hexdigest()
        return _field(self._user, "\0") + b" " + digest.encode("ascii")


class _OAuth:
    """The two OAuth mechanisms: a refusal comes as one challenge with JSON, to be answered before the final reply."""

    acknowledgement: bytes

    def __init__(self, user: str, token: str) -> None:
        self._user = user
        self._token = token
        self._refused = False

    def respond(self, challenge: bytes) -> bytes:
        if self._refused:
            raise ValueError("The server refused the token and asks again")
        self._refused = True
        return self.acknowledgement


class _OAuthBearer(_OAuth):
    name = "OAUTHBEARER"
    acknowledgement = b"\x01"

    def initial(self) -> bytes:
        user = _field(self._user, "\0\x01").replace(b"=", b"=3D").replace(b",", b"=2C")
        return b"n,a=" + user + b",\x01auth=Bearer " + _field(self._token, "\0\x01") + b"\x01\x01"


class _XOAuth2(_OAuth):
    name = "XOAUTH2"
    acknowledgement = b""

    def initial(self) -> bytes:
        user = _field(self._user, "\0\x01")
        return b"user=" + user + b"\x01auth=Bearer " + _field(self._token, "\0\x01") + b"\x01\x01"


def _field(text: str, forbidden: str) -> bytes:
    if any(character in text for character in forbidden):
        raise ValueError("User name, password and token cannot hold control characters")
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:
        # The exception quotes the secret.
        raise ValueError("User name, password and token must be valid Unicode") from None
