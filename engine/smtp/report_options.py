"""The options of MAIL and RCPT that ask for delivery reports (RFC 3461, RFC 6533). Pure."""

from __future__ import annotations

import re

from engine.model.message import Dsn

LONGEST_ENVELOPE_ID = 100
"""Maximum characters of an encoded envelope id (RFC 3461 section 4.4)."""
_PLAIN = re.compile(r"[!-*,-<>-~]")


def mail_options(dsn: Dsn | None, envelope_id: str) -> str:
    """RET and ENVID, each after a blank; without an id of the caller's it is `envelope_id`, "" for none."""
    given = xtext((dsn.id if dsn is not None else None) or envelope_id)
    options = f" RET={'FULL' if dsn.full else 'HDRS'}" if dsn is not None else ""
    return f"{options} ENVID={given}" if 0 < len(given) <= LONGEST_ENVELOPE_ID else options


def rcpt_options(dsn: Dsn | None) -> str:
    """NOTIFY and ORCPT, each after a blank."""
    if dsn is None:
        return ""
    options = f" NOTIFY={','.join(dsn.notify)}" if dsn.notify else ""
    if dsn.recipient:
        kind = "rfc822" if dsn.recipient.isascii() else "utf-8"
        options += f" ORCPT={kind};{xtext(dsn.recipient)}"
    return options


def xtext(text: str) -> str:
    """The text with `+`, `=` and what is not printable encoded; characters beyond ASCII as in RFC 6533 section 3."""
    return "".join(each if _PLAIN.fullmatch(each) else _encoded(each) for each in text)


def _encoded(character: str) -> str:
    return f"+{ord(character):02X}" if character.isascii() else f"\\x{{{ord(character):X}}}"
