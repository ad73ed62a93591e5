"""Refuses what the server has said it will not take: over its SIZE, in need of SMTPUTF8 or 8BITMIME. Pure."""

from __future__ import annotations

import re

from engine.smtp.protocol import Capabilities, SmtpEnvelope
from engine.smtp.verdict import Kind, Stage, Verdict

_UNSAFE = re.compile(r"[\x00-\x1f\x7f<>]")


def refused_here(envelope: SmtpEnvelope, offered: Capabilities) -> dict[str, Verdict]:
    """The recipients not worth sending to this server, each with a verdict without a code that says why."""
    if _UNSAFE.search(envelope.sender):
        return dict.fromkeys(envelope.recipients, _rejected("The sender's address holds a forbidden character"))
    if offered.size is not None and envelope.size > offered.size:
        text = f"The message has {envelope.size} bytes, the server takes at most {offered.size}"
        return dict.fromkeys(envelope.recipients, _rejected(text))
    if not offered.smtputf8 and envelope.international:
        text = "The message needs SMTPUTF8 and the server does not offer it"
        return dict.fromkeys(envelope.recipients, _rejected(text))
    if not offered.eight_bit and envelope.eight_bit:
        text = "The message has text that is not encoded in ASCII, and the server does not offer 8BITMIME"
        return dict.fromkeys(envelope.recipients, _rejected(text))
    unsafe = [recipient for recipient in envelope.recipients if not recipient or _UNSAFE.search(recipient)]
    return dict.fromkeys(unsafe, _rejected("The address is empty or holds a forbidden character"))


def _rejected(text: str) -> Verdict:
    return Verdict(Kind.REJECTED, Stage.MAIL, None, None, text)
