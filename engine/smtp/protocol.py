"""The SMTP dialogue without a network: capabilities, the envelope, one mail transaction.

RFC 5321, 2920 (PIPELINING), 1870 (SIZE), 6152 (8BITMIME), 6531 (SMTPUTF8), 3461 (DSN).

A `Transaction` says which commands to write next and takes the replies in order. It alone knows which reply belongs to
which command, with PIPELINING and without. It also notices when the server has lost count: after one surplus reply,
each reply would be taken for the answer to the command after its own.

What the server cannot carry anyway (a message over its SIZE, an address beyond ASCII without SMTPUTF8, text beyond
ASCII without 8BITMIME) is refused here before a byte is sent. No address can smuggle a command: control characters and
angle brackets are refused too.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Sequence

import msgspec

from engine.model.message import Dsn
from engine.smtp.replies import Reply
from engine.smtp.report_options import mail_options, rcpt_options
from engine.smtp.verdict import Kind, Stage, Verdict, is_one_too_many, of_reply

GROUP_RECIPIENTS = 100
"""RFC 5321 section 4.5.3.1.8: the number of recipients that every server must accept."""


class Capabilities(msgspec.Struct, frozen=True, kw_only=True):
    """What the reply to EHLO offers. `size` is the limit in bytes; None if there is none or it is not stated."""

    auth: tuple[str, ...] = ()
    pipelining: bool = False
    size: int | None = None
    size_known: bool = False
    smtputf8: bool = False
    eight_bit: bool = False
    starttls: bool = False
    dsn: bool = False


def capabilities(reply: Reply) -> Capabilities:
    """The offers in a reply to EHLO; what cannot be parsed counts as not offered."""
    offers: dict[str, list[str]] = {}
    for line in reply.lines[1:]:
        # Old servers write `AUTH=PLAIN LOGIN`, often in addition to the correct line.
        keyword, *words = re.sub(r"(?i)^AUTH=", "AUTH ", line).upper().split() or [""]
        offers.setdefault(keyword, []).extend(words)
    limit = offers.get("SIZE", [])[:1]
    size = int(limit[0]) if limit and limit[0].isascii() and limit[0].isdigit() else 0
    return Capabilities(
        auth=tuple(dict.fromkeys(offers.get("AUTH", []))),
        pipelining="PIPELINING" in offers,
        size=size or None,
        size_known="SIZE" in offers,
        smtputf8="SMTPUTF8" in offers,
        eight_bit="8BITMIME" in offers,
        starttls="STARTTLS" in offers,
        dsn="DSN" in offers,
    )


class SmtpEnvelope(msgspec.Struct, frozen=True):
    """Sender and recipients. `sender` may be empty (a bounce); `smtputf8`: the header needs it; `size`: bytes or 0.

    `eight_bit`: the message holds octets beyond ASCII. Servers that support RFC 3461 return `envelope_id` in their
    reports, if `dsn` has no id of its own; empty for none. `group`: the most recipients of one transaction.
    """

    sender: str
    recipients: tuple[str, ...]
    smtputf8: bool = False
    size: int = 0
    envelope_id: str = ""
    eight_bit: bool = False
    dsn: Dsn | None = None
    group: int = GROUP_RECIPIENTS

    @property
    def international(self) -> bool:
        """Whether only a server with SMTPUTF8 can take it."""
        return self.smtputf8 or not (self.sender.isascii() and all(map(str.isascii, self.recipients)))


class Transaction:
    """MAIL, RCPT for each recipient, DATA: everything before the message itself.

    1. Write what `take` returns.
    2. Pass each reply to `receive` while `waiting`, then repeat from 1 until `take` returns nothing.
    3. `go_ahead` then says whether the server waits for message data, `accepted` for which recipients, and `verdicts`
       what became of the others.

    `reset`: begin with RSET. `used`: this connection has carried a transaction before.
    """

    def __init__(
        self,
        envelope: SmtpEnvelope,
        recipients: Sequence[str],
        offered: Capabilities,
        *,
        reset: bool,
        used: bool = False,
    ) -> None:
        mail = f"MAIL FROM:<{envelope.sender}>"
        if offered.size_known and envelope.size:
            mail += f" SIZE={envelope.size}"
        if envelope.international:
            mail += " SMTPUTF8"
        if (envelope.international or envelope.eight_bit) and offered.eight_bit:
            mail += " BODY=8BITMIME"
        rcpt = ""
        if offered.dsn:
            mail += mail_options(envelope.dsn, envelope.envelope_id)
            rcpt = rcpt_options(envelope.dsn)
        self._pipelining = offered.pipelining
        self._commands: deque[tuple[Stage | None, str]] = deque([(None, "RSET")] if reset else ())
        self._commands.append((Stage.MAIL, mail))
        self._commands.extend((Stage.RCPT, f"RCPT TO:<{recipient}>{rcpt}") for recipient in recipients)
        self._commands.append((Stage.DATA, "DATA"))
        self._expected: deque[Stage | None] = deque()
        self._recipients = recipients
        self._answered = 0
        self._refused = False
        self._postponed: list[str] = []
        # Without PIPELINING, a late second reply to the previous transaction may arrive in place of our first one.
        self._unsure = len(recipients) > 1 or (used and not offered.pipelining)
        self.accepted: list[str] = []
        self.verdicts: dict[str, Verdict] = {}
        self.go_ahead = False
        self.data_asked = False
        """`take` has returned DATA."""
        self.open = True
        """No reply to a message has ended the transaction, so the next one on this connection begins with RSET."""
        self.broken = False
        """The server is closing the connection (421) or answered out of turn: the session ends after this."""
        self.out_of_step = False
        """A reply cannot belong to its command, so any verdict may belong to another recipient: none counts."""
        self.limit: int | None = None
        """How many recipients the server accepted before it reported one too many; None if it has not."""

    @property
    def waiting(self) -> bool:
        """Whether a reply is still to come."""
        return bool(self._expected)

    @property
    def stage(self) -> Stage:
        """The stage that the next reply belongs to."""
        return (self._expected[0] if self._expected else None) or (Stage.DATA if self.data_asked else Stage.MAIL)

    def take(self) -> list[str]:
        """The commands to write now, without line ends; empty if none is left."""
        if self._pipelining:
            taken = list(self._commands)
            self._commands.clear()
        elif self._commands and not self._refused and (self.accepted or self._commands[0][0] is not Stage.DATA):
            taken = [self._commands.popleft()]
        else:
            taken = []
        self._expected.extend(stage for stage, _ in taken)
        self.data_asked = self.data_asked or (bool(taken) and taken[-1][0] is Stage.DATA)
        return [line for _, line in taken]

    def receive(self, reply: Reply) -> None:
        """Take the next reply in order."""
        stage = self._expected.popleft()
        # Only DATA is answered with 3xx; a 2xx at DATA must be the answer to an earlier command.
        self.out_of_step = self.out_of_step or (reply.code < 300 if stage is Stage.DATA else 300 <= reply.code < 400)
        if reply.code == 421:
            self._end(of_reply(stage or Stage.MAIL, reply))
        elif stage is Stage.MAIL:
            if reply.code >= 300:
                self._unsure = self._unsure or self._pipelining
                self.fail(of_reply(stage, reply))
        elif stage is Stage.RCPT:
            self._receive_recipient(reply)
        elif stage is Stage.DATA:
            self._unsure = self._unsure or bool(self.accepted)
            self.go_ahead = 300 <= reply.code < 400
            if not self.go_ahead:
                self.fail(of_reply(stage, reply))

    @property
    def doubtful(self) -> bool:
        """Whether a permanent refusal may belong to another recipient, because of an unnoticed surplus reply.

        A 354 proves that there was none. If DATA was refused or not sent, the next command has to prove it.
        """
        return (
            self._unsure
            and not self.go_ahead
            and not self.broken
            and any(verdict.kind is Kind.REJECTED for verdict in self.verdicts.values())
        )

    def fail(self, verdict: Verdict) -> None:
        """Give `verdict` to every recipient that has none yet."""
        self._refused = True
        self.accepted.clear()
        for recipient in self._recipients:
            self.verdicts.setdefault(recipient, verdict)

    def finish(self, reply: Reply) -> Verdict:
        """Take the reply to the message: it decides for all recipients accepted so far."""
        verdict = of_reply(Stage.DOT, reply)
        self.open = False
        self.broken = reply.code == 421 or 300 <= reply.code < 400
        for recipient in self.accepted:
            self.verdicts[recipient] = verdict
        return verdict

    def once_more(self) -> list[str]:
        """The recipients that the server called one too many, to go in another transaction at once, without a verdict.

        Empty if the transaction decided nothing else: the next one would fare no better.
        """
        postponed = self._postponed
        decided = {
            recipient for recipient, verdict in self.verdicts.items() if verdict.kind in (Kind.ACCEPTED, Kind.REJECTED)
        }
        if not postponed or not decided or self.broken:
            return []
        for recipient in postponed:
            del self.verdicts[recipient]
        return postponed

    def _receive_recipient(self, reply: Reply) -> None:
        recipient = self._recipients[self._answered]
        self._answered += 1
        if self._refused:
            return
        if reply.code < 300:
            self.accepted.append(recipient)
            return
        self.verdicts[recipient] = of_reply(Stage.RCPT, reply)
        if is_one_too_many(reply):
            self._postponed.append(recipient)
            self.limit = self.limit or max(self._answered - 1, 1)

    def _end(self, verdict: Verdict) -> None:
        self.fail(verdict)
        self._expected.clear()
        self._commands.clear()
        self.go_ahead = False
        self.broken = True
