"""The commands of an SMTP client with their parameters, on the server's side. Pure.

RFC 5321; 1870 (SIZE), 6152 (8BITMIME), 6531 (SMTPUTF8), 3461 (DSN), 4954 (AUTH of MAIL, which is ignored). What cannot
be parsed raises `Refused` with the reply. The owner decides whether an address can exist.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final

import msgspec

_PATH = r' *(?:<((?:"(?:[^"\\]|\\.)*"|[^<>"])*)>|([^\s<>]+))(.*)'
"""Old programs put a space before the path, or omit its brackets."""
_MAIL = re.compile("FROM:" + _PATH, re.IGNORECASE)
_RCPT = re.compile("TO:" + _PATH, re.IGNORECASE)
_ADDRESS = re.compile(r"[^\s@].*@[^\s@]+", re.DOTALL)
_SOURCE_ROUTE = re.compile(r"(?:@[^\s,:@]+,?)+:")
"""RFC 5321 section 4.1.1.3: accepted, and ignored."""
_SIZE = re.compile(r"[0-9]{1,20}")
_XTEXT = re.compile(r"(?:[!-*,-<>-~]|\+[0-9A-F]{2}){1,100}")
_ORIGINAL = re.compile(r"[A-Z0-9-]{1,40};\S{1,500}", re.IGNORECASE)
_NOTIFY: Final = ("SUCCESS", "FAILURE", "DELAY")


class Refused(Exception):
    """The command is refused with `reply`."""

    def __init__(self, reply: str) -> None:
        super().__init__(reply)
        self.reply = reply


class MailFrom(msgspec.Struct, frozen=True, kw_only=True):
    """MAIL. `sender` is "" for the null sender, `size` 0 if it is not stated; `returned` is FULL, HDRS or ""."""

    sender: str
    size: int = 0
    eight_bit: bool = False
    smtputf8: bool = False
    envelope_id: str = ""
    returned: str = ""


class RcptTo(msgspec.Struct, frozen=True, kw_only=True):
    """RCPT. `notify` is () if it is not stated; `original` is type and address as given, or ""."""

    recipient: str
    notify: tuple[str, ...] = ()
    original: str = ""


def mail_from(argument: str, offers: Collection[str]) -> MailFrom:
    """What follows `MAIL `; `offers` are the keywords of the reply to EHLO. Raises `Refused`."""
    sender, options = _path(_MAIL, argument, "501 5.5.4 Syntax: MAIL FROM:<address>")
    if sender and not _ADDRESS.fullmatch(sender):
        raise Refused("501 5.1.7 Bad sender address syntax")
    found = MailFrom(sender=sender)
    for option in options.split():
        name, _, value = option.upper().partition("=")
        if name == "SIZE" and name in offers:
            if not _SIZE.fullmatch(value):
                raise Refused("501 5.5.4 Bad message size syntax")
            found = msgspec.structs.replace(found, size=int(value))
        elif name == "BODY" and value in ("7BIT", "8BITMIME") and "8BITMIME" in offers:
            found = msgspec.structs.replace(found, eight_bit=value == "8BITMIME")
        elif name == "SMTPUTF8" and not value and name in offers:
            found = msgspec.structs.replace(found, smtputf8=True)
        elif name == "ENVID" and "DSN" in offers and _XTEXT.fullmatch(value):
            found = msgspec.structs.replace(found, envelope_id=option.partition("=")[2])
        elif name == "RET" and "DSN" in offers and value in ("FULL", "HDRS"):
            found = msgspec.structs.replace(found, returned=value)
        elif name != "AUTH":
            raise Refused(f"555 5.5.4 Unsupported option: {option}")
    if not found.smtputf8 and not sender.isascii():
        raise Refused("553 5.6.7 Must declare SMTPUTF8 to send unicode address")
    return found


def rcpt_to(argument: str, offers: Collection[str], *, smtputf8: bool) -> RcptTo:
    """What follows `RCPT `; `smtputf8`: MAIL said so. Raises `Refused`."""
    recipient, options = _path(_RCPT, argument, "501 5.5.4 Syntax: RCPT TO:<address>")
    found = RcptTo(recipient=recipient)
    for option in options.split():
        name, _, value = option.partition("=")
        if name.upper() == "NOTIFY" and "DSN" in offers and (notify := _notify(value.upper())):
            found = msgspec.structs.replace(found, notify=notify)
        elif name.upper() == "ORCPT" and "DSN" in offers and _ORIGINAL.fullmatch(value):
            found = msgspec.structs.replace(found, original=value)
        else:
            raise Refused(f"555 5.5.4 Unsupported option: {option}")
    if recipient.lower() == "postmaster":
        # RFC 5321 section 4.5.1 has a server that delivers mail in mind.
        raise Refused("550 5.1.1 No mail ends at this server: give a domain, as in postmaster@example.com")
    if not _ADDRESS.fullmatch(recipient):
        raise Refused("501 5.1.3 Bad recipient address syntax")
    if not recipient.isascii() and not smtputf8:
        raise Refused("553 5.6.7 Must declare SMTPUTF8 to send unicode address")
    return found


def _path(form: re.Pattern[str], argument: str, syntax: str) -> tuple[str, str]:
    match = form.fullmatch(argument)
    if match is None:
        raise Refused(syntax)
    in_brackets, bare, options = match.groups()
    path = bare if in_brackets is None else in_brackets
    return _SOURCE_ROUTE.sub("", path, count=1) if path.startswith("@") else path, options


def _notify(value: str) -> tuple[str, ...]:
    words = tuple(value.split(","))
    is_known = words == ("NEVER",) or (len(set(words)) == len(words) and all(word in _NOTIFY for word in words))
    return words if is_known else ()
