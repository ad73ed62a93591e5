"""The login of an SMTP session (RFC 4954), without a network: which line to say after which reply.

The mechanisms the server offers and the credentials can serve are tried from the best on. The next one is tried only
where the refusal is about the mechanism; a refusal of the password ends the login, since each more of them brings a
provider closer to locking the account. Secrets never stand in what is shown.
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
"""The longest command, its CRLF included (RFC 5321 section 4.5.3.1.4)."""
ROUNDS = 8
SECRET = "[secret]"

_ABOUT_THE_MECHANISM = frozenset({500, 501, 502, 503, 504, 534, 538, 553, 555})
_ABOUT_THE_MECHANISM_ENHANCED = frozenset({"5.5.1", "5.5.2", "5.5.4", "5.7.4", "5.7.11"})
_LONGEST_REASON = 300


class LoginLine(NamedTuple):
    """A line to say, and what the transcript shows of it."""

    text: str
    shown: str


class SmtpLogin:
    """One login: say what `begin` gives, then what `receive` gives for each reply, until it gives None.

    Then `refusal` is the verdict of a login that failed, None after one that was accepted.
    """

    def __init__(self, offered: Collection[str], credentials: sasl.Credentials, nonce: str | None) -> None:
        self._offered = offered
        self._masker = Masker(credentials.secrets)
        self._mechanisms = iter(sasl.mechanisms(offered, credentials, nonce))
        self._mechanism: sasl.Mechanism
        self._initial: bytes | None = None
        """The initial response, as long as the server may ask for it."""
        self._sent = False
        """It went with the command."""
        self._rounds = 0
        self._reason = ""
        self.refusal: Verdict | None = None
        """What was said to the last mechanism tried."""

    def begin(self) -> LoginLine | None:
        """The first line with the next mechanism; None when there is none left."""
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
        # RFC 4954 section 4: an initial response that makes the command too long waits for the server's question.
        self._sent = len(whole) + 2 <= COMMAND_OCTETS
        return LoginLine(whole, f"{command} {SECRET}") if self._sent else LoginLine(command, command)

    def receive(self, reply: Reply) -> LoginLine | None:
        """The line to say next; None at the end. Raises `ProtocolError` for a dialogue that leads nowhere."""
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
        # PLAIN has one step, so a question after it asks for it again, whatever its words.
        if initial is not None and (not self._sent or not challenge.strip() or self._mechanism.name == "PLAIN"):
            return initial
        try:
            answer = self._mechanism.respond(challenge)
        except ValueError as error:
            raise ProtocolError(f"The server's challenge is invalid: {error}") from error
        if self._mechanism.name in ("XOAUTH2", "OAUTHBEARER"):
            # RFC 7628 section 3.2.2: why the token is refused, in JSON; the reply that follows only says that it is.
            self._reason = self._masker.mask(challenge.decode("utf-8", "replace"), cut=True)[:_LONGEST_REASON]
        return answer

    def _is_about_the_mechanism(self, reply: Reply) -> bool:
        # A server may offer SCRAM and hold no secret of the kind it needs for this user, which it does not say.
        return reply.code >= 500 and (
            reply.code in _ABOUT_THE_MECHANISM
            or reply.enhanced in _ABOUT_THE_MECHANISM_ENHANCED
            or isinstance(self._mechanism, sasl.Scram)
        )


def _refused(text: str) -> Verdict:
    return Verdict(Kind.LOGIN_REFUSED, Stage.AUTH, None, None, text)


def _base64(data: bytes) -> str:
    # RFC 4954 section 4: an empty initial response is written "=", an empty later one is an empty line.
    return binascii.b2a_base64(data, newline=False).decode("ascii")


def _challenge(reply: Reply) -> bytes:
    try:
        return base64.b64decode(reply.text.strip(), validate=True)
    except ValueError:
        # Some servers prompt in clear for LOGIN, whose wording means nothing anyway.
        return reply.text.encode("utf-8")
