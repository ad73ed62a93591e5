"""The login of an SMTP session (RFC 4954), without a network: which line to send after which reply.

Of the mechanisms that the server offers and the credentials support, the strongest goes first. The next one follows
only if the server refused the mechanism itself; a refused password ends the login, since each further failure brings
the provider closer to locking the account. Secrets never appear in the text shown in transcripts.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Collection
from typing import NamedTuple

import msgspec

from engine import sasl
from engine.errors import ProtocolError
from engine.masking import Masker
from engine.smtp.replies import Reply
from engine.smtp.verdict import Kind, Stage, Verdict, of_reply

COMMAND_OCTETS = 512
"""The maximum octets in a command, including its CRLF (RFC 5321 section 4.5.3.1.4)."""
ROUNDS = 8
SECRET = "[secret]"

_ABOUT_THE_MECHANISM = frozenset({500, 501, 502, 503, 504, 534, 538, 553, 555})
_ABOUT_THE_MECHANISM_ENHANCED = frozenset({"5.5.1", "5.5.2", "5.5.4", "5.7.4", "5.7.11"})
_LONGEST_REASON = 300


class LoginLine(NamedTuple):
    """A line to send, and the text that the transcript shows for it."""

    text: str
    shown: str


class SmtpLogin:
    """One login: send what `begin` returns, then what `receive` returns for each reply, until it returns None.

    Then `refusal` is the verdict of a failed login, or None after an accepted one.
    """

    def __init__(self, offered: Collection[str], credentials: sasl.Credentials, nonce: str | None) -> None:
        self._offered = offered
        self._masker = Masker(credentials.secrets)
        self._mechanisms = iter(sasl.mechanisms(offered, credentials, nonce))
        self._mechanism: sasl.Mechanism
        self._initial: bytes | None = None
        """The initial response, while the server may still ask for it."""
        self._sent = False
        """The initial response was sent with the command."""
        self._rounds = 0
        self._reason = ""
        self.refusal: Verdict | None = None
        """The verdict on the last mechanism refused."""

    def begin(self) -> LoginLine | None:
        """The first line of the next mechanism; None if none is left."""
        mechanism = next(self._mechanisms, None)
        if mechanism is None:
            if self.refusal is None:
                offer = f"AUTH {' '.join(self._offered)}"
                self.refusal = _refused(f"The server offers {offer}, none of it usable with these credentials")
            return None
        self._mechanism = mechanism
        self._rounds, self._reason = 0, ""
        try:
            self._initial = mechanism.initial()
        except ValueError as error:
            self.refusal = _refused(str(error))
            return None
        command = f"AUTH {mechanism.name}"
        if self._initial is None:
            return LoginLine(command, command)
        whole = f"{command} {_base64(self._initial) or '='}"
        # RFC 4954 section 4: an initial response that would make the command too long waits for the server's challenge.
        self._sent = len(whole) + 2 <= COMMAND_OCTETS
        return LoginLine(whole, f"{command} {SECRET}") if self._sent else LoginLine(command, command)

    def receive(self, reply: Reply) -> LoginLine | None:
        """The next line to send; None at the end. Raises `ProtocolError` if the server's challenges make no sense."""
        if 300 <= reply.code < 400:
            self._rounds += 1
            if self._rounds > ROUNDS:
                raise ProtocolError(f"The server asked more than {ROUNDS} questions in one login")
            return LoginLine(_base64(self._answer(_challenge(reply))), SECRET)
        if reply.code < 300:
            self.refusal = None
            if isinstance(self._mechanism, sasl.Scram) and not self._mechanism.verified:
                self.refusal = _refused("The server let us in without proving that it knows the password")
            return None
        verdict = of_reply(Stage.AUTH, reply)
        if self._reason:
            verdict = msgspec.structs.replace(verdict, text=f"{verdict.text} ({self._reason})")
        self.refusal = verdict
        return self.begin() if self._is_about_the_mechanism(reply) else None

    def _answer(self, challenge: bytes) -> bytes:
        initial, self._initial = self._initial, None
        # PLAIN has a single step, so any challenge asks for the initial response, whatever its text.
        if initial is not None and (not self._sent or not challenge.strip() or self._mechanism.name == "PLAIN"):
            return initial
        try:
            answer = self._mechanism.respond(challenge)
        except ValueError as error:
            raise ProtocolError(f"The server's challenge is invalid: {error}") from error
        if self._mechanism.name in ("XOAUTH2", "OAUTHBEARER"):
            # RFC 7628 section 3.2.2: JSON that gives the reason; the reply after it only says that the token failed.
            self._reason = self._masker.mask(challenge.decode("utf-8", "replace"), cut=True)[:_LONGEST_REASON]
        return answer

    def _is_about_the_mechanism(self, reply: Reply) -> bool:
        # A server may offer SCRAM but hold no SCRAM secret for this user, and it does not say so.
        return reply.code >= 500 and (
            reply.code in _ABOUT_THE_MECHANISM
            or reply.enhanced in _ABOUT_THE_MECHANISM_ENHANCED
            or isinstance(self._mechanism, sasl.Scram)
        )


def _refused(text: str) -> Verdict:
    return Verdict(Kind.LOGIN_REFUSED, Stage.AUTH, None, None, text)


def _base64(data: bytes) -> str:
    # RFC 4954 section 4: an empty initial response is sent as "=", an empty later one as an empty line.
    return binascii.b2a_base64(data, newline=False).decode("ascii")


def _challenge(reply: Reply) -> bytes:
    try:
        return base64.b64decode(reply.text.strip(), validate=True)
    except ValueError:
        # Some servers send LOGIN's prompts unencoded; their text does not matter.
        return reply.text.encode("utf-8")
