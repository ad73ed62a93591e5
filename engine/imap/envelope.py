"""ENVELOPE as bytes: who, to whom, about what (RFC 9051 section 7.5.2).

Servers take envelopes from whatever a sender wrote, so nothing is trusted: a member that is not what its place asks
for is absent, and an envelope that is no list at all is None. Encoded words are for whoever shows the text.
"""

from __future__ import annotations

import msgspec

from engine.imap.tokens import Node


class Mailbox(msgspec.Struct, frozen=True):
    """One address: display name and `local@host`, each as the server gave it, empty for absent."""

    name: bytes
    address: bytes


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """The header fields every client needs. Texts are raw, empty where the message has none."""

    date: bytes = b""
    subject: bytes = b""
    sender: tuple[Mailbox, ...] = ()
    author: tuple[Mailbox, ...] = ()
    """The From field."""
    reply_to: tuple[Mailbox, ...] = ()
    to: tuple[Mailbox, ...] = ()
    cc: tuple[Mailbox, ...] = ()
    bcc: tuple[Mailbox, ...] = ()
    in_reply_to: bytes = b""
    message_id: bytes = b""


def read_envelope(node: Node) -> Envelope | None:
    """The envelope in a tree; None if there is none."""
    if not isinstance(node, list) or len(node) < 10:
        return None
    return Envelope(
        date=octets(node[0]),
        subject=octets(node[1]),
        author=_mailboxes(node[2]),
        sender=_mailboxes(node[3]),
        reply_to=_mailboxes(node[4]),
        to=_mailboxes(node[5]),
        cc=_mailboxes(node[6]),
        bcc=_mailboxes(node[7]),
        in_reply_to=octets(node[8]),
        message_id=octets(node[9]).strip(),
    )


def octets(node: Node) -> bytes:
    """A string or an atom as bytes; empty for NIL and for lists."""
    if isinstance(node, bytes):
        return node
    return node.encode() if isinstance(node, str) else b""


def _mailboxes(node: Node) -> tuple[Mailbox, ...]:
    if not isinstance(node, list):
        return ()
    found = []
    for each in node:
        # A mailbox without a host opens or closes a group, which has no address of its own.
        if isinstance(each, list) and len(each) >= 4 and each[3] is not None and each[2] is not None:
            found.append(Mailbox(octets(each[0]), octets(each[2]) + b"@" + octets(each[3])))
    return tuple(found)
