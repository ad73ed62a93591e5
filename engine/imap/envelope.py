"""Reads ENVELOPE: sender, recipients, subject and ids, as bytes (RFC 9051 section 7.5.2).

Servers build envelopes from whatever a sender wrote, so nothing is trusted: a member of the wrong kind is absent, and
an envelope that is not a list is None. Encoded words are left to the code that displays the text.
"""

from __future__ import annotations

import msgspec

from engine.imap.nodes import Node, octets

MEMBERS = 10
_MADE_UP = (b"MISSING_MAILBOX", b"MISSING_DOMAIN", b"INVALID_ADDRESS", b".MISSING-HOST-NAME.", b".SYNTAX-ERROR.")
"""What Dovecot and UW IMAP send for the half of an address that the header lacks. No mail can reach it."""


class EnvelopeAddress(msgspec.Struct, frozen=True):
    """One address: display name and `local@host`, each as the server sent it, empty if absent.

    Only what the header holds: a local part alone, or nothing, for an address without host.
    """

    name: bytes
    address: bytes


class ImapEnvelope(msgspec.Struct, frozen=True, kw_only=True):
    """The header fields that every client needs. Texts are raw, empty if the message has none."""

    date: bytes = b""
    subject: bytes = b""
    sender: tuple[EnvelopeAddress, ...] = ()
    author: tuple[EnvelopeAddress, ...] = ()
    """The From field."""
    reply_to: tuple[EnvelopeAddress, ...] = ()
    to: tuple[EnvelopeAddress, ...] = ()
    cc: tuple[EnvelopeAddress, ...] = ()
    bcc: tuple[EnvelopeAddress, ...] = ()
    in_reply_to: bytes = b""
    message_id: bytes = b""


def read_envelope(node: Node) -> ImapEnvelope | None:
    """The envelope in a tree; None if there is none. If it does not have ten members, it is read as far as possible."""
    if not isinstance(node, list) or not node:
        return None
    members = _aligned(node)
    return ImapEnvelope(
        date=octets(members[0]),
        subject=octets(members[1]),
        author=_mailboxes(members[2]),
        sender=_mailboxes(members[3]),
        reply_to=_mailboxes(members[4]),
        to=_mailboxes(members[5]),
        cc=_mailboxes(members[6]),
        bcc=_mailboxes(members[7]),
        in_reply_to=octets(members[8]),
        message_id=octets(members[9]).strip(),
    )


def _aligned(node: list[Node]) -> list[Node]:
    """The ten members. An unescaped quote splits a subject into several; a server may also omit some of the lists."""
    if len(node) == MEMBERS:
        return node
    lists = next((place for place, member in enumerate(node) if isinstance(member, list)), len(node))
    if len(node) > MEMBERS and lists > 2:
        node = [node[0], b" ".join(octets(member) for member in node[1:lists] if member), *node[lists:]]
    members = (node + [None] * MEMBERS)[:MEMBERS]
    if len(node) < MEMBERS and octets(node[-1]).lstrip().startswith(b"<"):
        members[MEMBERS - 1] = node[-1]
    return members


def _mailboxes(node: Node) -> tuple[EnvelopeAddress, ...]:
    if not isinstance(node, list):
        return ()
    found = []
    for each in node:
        # An entry without a host opens or closes a group, which is not an address.
        if isinstance(each, list) and len(each) >= 4 and each[3] is not None and each[2] is not None:
            name, address = octets(each[0]), _address(octets(each[2]), octets(each[3]))
            if name or address:
                found.append(EnvelopeAddress(name, address))
    return tuple(found)


def _address(local: bytes, host: bytes) -> bytes:
    """`local@host`, without what the server made up; a name alone, as in `From: MAILER-DAEMON`, stays a name alone."""
    local = b"" if local in _MADE_UP else local
    return local if host in _MADE_UP else local + b"@" + host
