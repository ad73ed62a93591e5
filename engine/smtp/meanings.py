"""What a known reply of a mail server means: the shapes of `known_answers.py` and `known_codes.py`, and shared parts.

*pure* data. Every meaning has its source and the month in which it was looked up.
"""

from __future__ import annotations

from typing import Literal

import msgspec

Fault = Literal["sender", "message", "recipient", "provider", "network", "unknown"]
"""Who has to act.

`sender`: the account or its domain. `message`: its contents. `recipient`: the address or its mailbox. `provider`: the
server that answered. `network`: the IP address that the mail came from.
"""


class Source(msgspec.Struct, frozen=True):
    """Where a meaning is from, and the month in which it was looked up there.

    `looked_up` None: the page was not read. The replies lead there, and their own words say what they mean.
    """

    url: str
    looked_up: str | None


class Meaning(msgspec.Struct, frozen=True):
    """What happened, whose fault it is, what to do."""

    what: str
    fault: Fault
    todo: str
    source: Source


class Answer(msgspec.Struct, frozen=True):
    """A reply that its words identify.

    `words` is searched in the reply without its codes, followed by the name of the server if that is known. `status`:
    the enhanced codes, also without their class (`7.26`); empty: any. `said`: such a reply, as servers send it, with
    addresses of the documentation. `quota`: it says that the sender has used up what the provider lets it send.
    """

    provider: str
    status: tuple[str, ...]
    words: str
    said: str
    meaning: Meaning
    quota: bool = False


def known(
    provider: str, source: Source, status: str, words: str, said: str, what: str, fault: Fault, todo: str
) -> Answer:
    """A reply and its meaning; `status`: its enhanced codes, with spaces between them."""
    return Answer(provider, tuple(status.split()), words, said, Meaning(what, fault, todo, source))


LOOKED_UP = "2026-11"
AGAIN = "As long as the message waits, the engine tries again by itself."
AUTHENTICATE = (
    "Publish an SPF record that allows the servers you send through, have them sign with DKIM for the domain in From, "
    "and publish a DMARC record."
)
NO_HOST_NAME = "The IP address that the mail came from has no host name, or one that does not lead back to it."
REMOVE = "Correct the address, or send no more mail to it."
LISTED = "Look up the IP address there, mend what it is listed for, and ask for its removal; or send another way."
GOOGLE = Source("https://support.google.com/a/answer/3726730", LOOKED_UP)
MICROSOFT = Source("https://learn.microsoft.com/exchange/troubleshoot/email-delivery/ndr", LOOKED_UP)
GREYLISTING = Source("https://www.rfc-editor.org/rfc/rfc6647", LOOKED_UP)
BOUNCES = Source("https://github.com/sisimai/set-of-emails", LOOKED_UP)
