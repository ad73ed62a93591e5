"""Mail addresses: checked once, then trusted.

Promises that what `parse_address` returns can stand in an SMTP command or a header without further care: no space, no
control character, no angle bracket, a domain in its ASCII form, lengths within RFC 5321 §4.5.3.1.
Refuses quoted local parts and addresses with a display name around them. Private names are welcome (`root@localhost`,
`a@sandbox.example`, `a@[127.0.0.1]`): whether a domain exists is the server's business.
A plain ASCII address costs one regular expression; email-validator reads the rest.
"""

from __future__ import annotations

import re

import msgspec
from email_validator import EmailNotValidError, validate_email

LONGEST_ADDRESS = 254
"""Octets: a path is at most 256 with its angle brackets (RFC 5321 §4.5.3.1.3)."""
LONGEST_LOCAL_PART = 64

_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL = r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)"
_PLAIN = re.compile(rf"(?=[^@]{{1,{LONGEST_LOCAL_PART}}}@){_ATOM}(?:\.{_ATOM})*@(?:{_LABEL}\.)*(?![0-9]+\Z){_LABEL}")
# As last label: an address literal that lost its brackets.
_ONLY_DIGITS = re.compile(r"(?:^|\.)[0-9]+\Z")
# Every character Unicode calls a space, a separator or a control, not only those that end a line.
_BLANK = re.compile(r"[\s\x00-\x20\x7f-\xa0\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")


class Address(msgspec.Struct, frozen=True):
    """One mailbox: the bare address and the display name beside it ("" for none), both unencoded."""

    address: str
    name: str = ""


def parse_address(text: str) -> str:
    """`text` as a checked address: local part as given (NFC), an IDN domain as A-labels, an ASCII domain untouched.

    Raises `ValueError` with a short plain reason.
    """
    if len(text) <= LONGEST_ADDRESS and _PLAIN.fullmatch(text):
        return text
    if not text:
        raise ValueError("is empty")
    if len(text) > LONGEST_ADDRESS:
        raise ValueError(f"is longer than {LONGEST_ADDRESS} characters")
    if _BLANK.search(text):
        raise ValueError("contains a space or a control character")
    try:
        found = validate_email(
            text,
            check_deliverability=False,
            allow_smtputf8=True,
            allow_domain_literal=True,
            globally_deliverable=False,
        )
    except EmailNotValidError as error:
        raise ValueError(f"is not a mail address: {error}") from error
    # The library lower-cases local parts such as Postmaster; only its normal form of non-ASCII ones is wanted.
    local = text.rpartition("@")[0] if found.ascii_local_part else found.local_part
    if len(local.encode()) > LONGEST_LOCAL_PART:
        raise ValueError(f"has more than {LONGEST_LOCAL_PART} octets before the @")
    if _ONLY_DIGITS.search(found.ascii_domain):
        raise ValueError("ends in a number: write an IP address in brackets")
    address = f"{local}@{found.ascii_domain}"
    if len(address.encode()) > LONGEST_ADDRESS:
        raise ValueError(f"is longer than {LONGEST_ADDRESS} octets")
    return address


def needs_smtputf8(address: str) -> bool:
    """Whether a checked address can only be sent to a server that offers SMTPUTF8 (RFC 6531)."""
    return not address.isascii()
