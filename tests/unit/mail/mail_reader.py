"""How the tests look at a composed message: octet rules first, then the standard library's two readers."""

from __future__ import annotations

import re
from email import policy
from email.message import EmailMessage, Message
from email.parser import BytesParser
from typing import Any

from hypothesis import strategies as st

from engine.mail.addresses import Address
from engine.mail.compose import Composed, Draft, compose

MESSAGE_ID = "<c1e481e3-eb77-a187-0aba-0255fa08bdc3@example.com>"
DATE = 1_795_347_925.0
BOUNDARY = "----=_Part-GiAxNIE_ZWVAMi43OS4y"
SENDER = Address("u240@example.com", "User 240")
RECIPIENT = Address("rcpt@example.net", "Rcpt")

_BARE = re.compile(rb"\r(?!\n)|(?<!\r)\n|\0")

# Everything a header may be asked to carry, weighted towards what has broken mailers before.
hostile_text = st.text(
    st.one_of(
        st.characters(exclude_categories=["Cs"], exclude_characters="\r\n\0"),
        st.sampled_from(list(" \t\"\\<>@,;:()=?_.-%*'&\x0b\x0c\x1b\x1c\x1d\x1e\x7f\x85\u2028\u2029é日😀")),
        st.sampled_from(list("abc ")),
    ),
    max_size=300,
)
any_text = st.text(st.one_of(st.characters(), st.sampled_from(list("\r\n\0 \t.-=é\u2028\x1c\ud83d"))), max_size=300)


def composed(**fields: object) -> Composed:
    fields.setdefault("sender", SENDER)
    fields.setdefault("to", (RECIPIENT,))
    result = compose(Draft(**fields), message_id=MESSAGE_ID, date=DATE, boundary=BOUNDARY)  # type: ignore[arg-type]
    assert_legal(result)
    return result


def wire(result: Composed) -> bytes:
    return result.header + b"\r\n" + result.body


def assert_legal(result: Composed) -> None:
    """What every composed message keeps, whatever went in."""
    for block in (result.header, result.bcc_header, result.body):
        assert not _BARE.search(block)
        assert max(map(len, block.split(b"\r\n"))) <= 998
        assert not block or block.endswith(b"\r\n")
    assert b"\r\n\r\n" not in result.header + result.bcc_header
    assert result.header.endswith(b"\r\n")
    assert not result.header.startswith((b" ", b"\t"))
    assert not re.search(rb"\r\n[ \t]+\r\n", result.header + result.bcc_header), "a folded line of nothing but blanks"
    assert result.body.isascii()
    assert result.smtputf8 or (result.header + result.bcc_header).isascii()


def modern(result: Composed) -> EmailMessage:
    message = BytesParser(policy=policy.default).parsebytes(wire(result))
    assert isinstance(message, EmailMessage)
    return message


def plain(result: Composed) -> Any:
    return BytesParser(policy=policy.compat32).parsebytes(wire(result))


def shape(message: Message) -> object:
    """The content types as nested lists: ["multipart/mixed", "text/plain", ...]."""
    if message.is_multipart() and message.get_content_maintype() == "multipart":
        return [message.get_content_type(), *(shape(part) for part in message.get_payload())]  # type: ignore[arg-type]
    return message.get_content_type()


def crlf(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n").replace("\n", "\r\n")


def text_of(part: Message) -> str:
    data = part.get_payload(decode=True)
    assert isinstance(data, bytes)
    return data.decode()
