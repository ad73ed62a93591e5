"""SASL, the client's side, for both protocols: pick a mechanism, answer its challenges (RFC 4422).

OAUTHBEARER (RFC 7628), XOAUTH2, SCRAM-SHA-256 (RFC 5802, 7677), PLAIN (RFC 4616), LOGIN and CRAM-MD5 (RFC 2195). Bytes
in and out; base64 and framing belong to the protocol that carries them. A mechanism serves one login: ask `mechanisms`
or `choose` for a fresh one each time. Raises only `ValueError`: for credentials that cannot be sent and for a challenge
its mechanism does not know. It never says whether the login succeeded; the server's own reply does.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import unicodedata
from collections.abc import Collection
from typing import Protocol

import msgspec

SCRAM_ROUNDS = 100_000
"""Maximum hash iterations that a server may request: about 50 ms, which block everything. The usual number is 4,096."""


class Credentials(msgspec.Struct, frozen=True, kw_only=True):
    """A user with a password, an OAuth 2.0 access token, or both (then the token is used first).

    `server` is the host and port that the token is for. `prefers` are its provider's mechanisms in order of preference.
    """

    user: str
    password: str | None
    access_token: str | None
    server: tuple[str, int] | None = None
    prefers: tuple[str, ...] = ()

    @property
    def secrets(self) -> tuple[str, ...]:
        """The parts that must not be shown."""
        return tuple(each for each in (self.password, self.access_token) if each)

    def __repr__(self) -> str:
        return f"Credentials(user={self.user!r})"


class Mechanism(Protocol):
    """One login under way."""

    @property
    def name(self) -> str:
        """The registered name, such as `PLAIN`."""

    def initial(self) -> bytes | None:
        """The initial response; None if the server begins. Raises `ValueError`."""

    def respond(self, challenge: bytes) -> bytes:
        """The answer to the next challenge. Raises `ValueError` if the mechanism expects no further challenge."""


def mechanisms(offered: Collection[str], credentials: Credentials, nonce: str | None = None) -> list[Mechanism]:
    """A fresh mechanism for each of the `offered` names (in any case) that these credentials support, strongest first.

    `nonce` is printable ASCII without a comma, random and used once; without one SCRAM is left out.
    """
    names = {name.upper() for name in offered}
    user, password, token = credentials.user, credentials.password, credentials.access_token
    found: list[Mechanism] = []
    if token is not None:
        found += sorted(
            (_OAuthBearer(user, token, credentials.server), _XOAuth2(user, token)),
            key=lambda each: credentials.prefers.index(each.name) if each.name in credentials.prefers else 99,
        )
    if password is not None:
        if "SCRAM-SHA-256" in names and nonce is not None:
            found.append(Scram(user, password, nonce))
        found += [_Plain(user, password), _Login(user, password), _CramMd5(user, password)]
    return [mechanism for mechanism in found if mechanism.name in names]


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
        # The prompts' wording is not standardized; every server asks for the user first.
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


class Scram:
    """SCRAM-SHA-256 without channel binding: the password is never sent, and the server proves that it knows it."""

    name = "SCRAM-SHA-256"

    def __init__(self, user: str, password: str, nonce: str) -> None:
        self.verified = False
        """True once the server has proved that it knows the password."""
        self.impostor = False
        """True once the server has failed to prove it."""
        escaped = _field(unicodedata.normalize("NFKC", user), "\0").replace(b"=", b"=3D").replace(b",", b"=2C")
        self._bare = b"n=" + escaped + b",r=" + nonce.encode("ascii")
        self._nonce = nonce.encode("ascii")
        self._password = _field(unicodedata.normalize("NFKC", password), "\0")
        self._signature: bytes | None = None

    def initial(self) -> bytes:
        return b"n,," + self._bare

    def respond(self, challenge: bytes) -> bytes:
        if self.verified:
            raise ValueError("SCRAM has no third step")
        said = dict(part.split(b"=", 1) for part in challenge.split(b",") if b"=" in part)
        if self._signature is None:
            return self._proof(challenge, said)
        self.impostor = b"v" in said
        given = base64.b64decode(said.get(b"v", b""), validate=True)
        if not hmac.compare_digest(given, self._signature):
            raise ValueError("The server does not know the password")
        self.verified, self.impostor = True, False
        return b""

    def _proof(self, challenge: bytes, said: dict[bytes, bytes]) -> bytes:
        nonce, count = said.get(b"r", b""), said.get(b"i", b"")
        if b"m" in said or not nonce.startswith(self._nonce) or len(nonce) <= len(self._nonce):
            raise ValueError("The server's first message makes no sense")
        if not count.isdigit() or len(count) > 9 or not 1 <= int(count) <= SCRAM_ROUNDS:
            raise ValueError(f"The server asks for more than {SCRAM_ROUNDS} rounds, or for none")
        salt = base64.b64decode(said.get(b"s", b""), validate=True)
        salted = hashlib.pbkdf2_hmac("sha256", self._password, salt, int(count))
        client = _hmac(salted, b"Client Key")
        final = b"c=biws,r=" + nonce
        signed = b",".join((self._bare, challenge, final))
        signature = _hmac(hashlib.sha256(client).digest(), signed)
        self._signature = _hmac(_hmac(salted, b"Server Key"), signed)
        proof = bytes(one ^ other for one, other in zip(client, signature, strict=True))
        return final + b",p=" + base64.b64encode(proof)


def _hmac(key: bytes, data: bytes) -> bytes:
    return hmac.new(key, data, hashlib.sha256).digest()


class _OAuth:
    """The two OAuth mechanisms: a refusal comes as a challenge with JSON, which must be answered before the reply."""

    name: str
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

    def __init__(self, user: str, token: str, server: tuple[str, int] | None) -> None:
        super().__init__(user, token)
        self._server = server

    def initial(self) -> bytes:
        user = _field(self._user, "\0\x01").replace(b"=", b"=3D").replace(b",", b"=2C")
        where = b""
        if self._server is not None:
            # RFC 7628 section 3.1; Yahoo accepts no token without them.
            host, port = self._server
            where = b"host=" + _field(host, "\0\x01") + b"\x01port=%d\x01" % port
        return b"n,a=" + user + b",\x01" + where + b"auth=Bearer " + _field(self._token, "\0\x01") + b"\x01\x01"


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
