"""What BODYSTRUCTURE says of parts whose media type the server could not read, and of encoded attached messages."""

from __future__ import annotations

from typing import cast

from engine.accounts.message_download import File, file_of
from engine.imap.nodes import Node
from engine.imap.session import ImapSession
from engine.imap.structure import BodyPart, read_structure


def leaf(*fields: Node) -> BodyPart:
    found = read_structure([[*fields], b"mixed"])
    assert found is not None
    (part,) = found.parts
    return part


def test_a_part_without_a_readable_type_keeps_its_disposition() -> None:
    shown: list[Node] = [b"attachment", [b"filename", b"r.bin"]]
    part = leaf(b"", b"", None, None, None, b"7bit", b"3", None, shown, None, None)
    assert (part.kind, part.disposition, part.disposition_parameters) == (
        "text/plain",
        "attachment",
        {"filename": b"r.bin"},
    )


def test_a_part_without_a_readable_type_is_no_text_in_base64() -> None:
    assert leaf(b"", b"", None, None, None, b"base64", b"4", None, None).kind == "application/octet-stream"
    assert leaf(b"text", b"", None, None, None, b"base64", b"4", b"1", None, None).kind == "text/plain"


async def test_an_attached_message_is_decoded_here() -> None:
    """Dovecot answers BINARY with such a message as it is encoded."""

    class Offering:
        capabilities = frozenset({"BINARY"})

    part = leaf(b"message", b"rfc822", None, None, None, b"base64", b"36")
    file = await file_of(cast(ImapSession, Offering()), 1, part, sized=True)
    assert file == File("1", "message/rfc822", "", None, "base64")
