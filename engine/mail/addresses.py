"""Mail addresses: checked once, then trusted.

What `parse_address` returns is safe in an SMTP command or a header: no control characters, no angle brackets, no space
except in a quoted local part, the domain in ASCII form, lengths within RFC 5321 §4.5.3.1.3.

* A local part is quoted only if it has to be (`"a..b"@x`: some providers have issued such addresses). It may be longer
  than the 64 octets of §4.5.3.1.1, as reply addresses of many services are.
* An address with a display name is refused. Private names are accepted (`root@localhost`, `a@sandbox.example`,
  `a@[127.0.0.1]`): whether a domain exists is for the server to decide.
* A plain ASCII address costs one regular expression; email-validator parses all others.
"""

from __future__ import annotations

import re

import msgspec

LONGEST_ADDRESS = 254
"""Maximum octets of an address: a path with its angle brackets has at most 256 (RFC 5321 §4.5.3.1.3)."""

_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL = r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)"
_DOT_ATOM = re.compile(rf"{_ATOM}(?:\.{_ATOM})*")
_PLAIN = re.compile(rf"{_DOT_ATOM.pattern}@(?:{_LABEL}\.)*(?![0-9]+\Z){_LABEL}")
_SPECIAL = re.compile(r'["\\(),:;<>@\[\]]')
# A domain whose last label is a number: an address literal that lost its brackets.
_ONLY_DIGITS = re.compile(r"(?:^|\.)[0-9]+\Z")
# All of Unicode's spaces, separators and controls, not only those that end a line.
_BLANK = re.compile(r"[\s\x00-\x20\x7f-\xa0\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")


class Address(msgspec.Struct, frozen=True):
    """An address with its display name ("" if there is none), both unencoded."""

    address: str
    name: str = ""


def parse_address(text: str) -> str:
    """Check an address and return it: local part as given (NFC), IDN domain as A-labels, ASCII domain unchanged.

    Raises `ValueError` with a short plain reason.
    """
    if len(text) <= LONGEST_ADDRESS and _PLAIN.fullmatch(text):
        return text
    # Imported where it is needed: it takes 30 ms, and most addresses are plain.
    from email_validator import EmailNotValidError, validate_email

    if not text:
        raise ValueError("is empty")
    if len(text) > LONGEST_ADDRESS:
        raise ValueError(f"is longer than {LONGEST_ADDRESS} characters")
    local, _, domain = text.rpartition("@")
    quoted = len(local) > 1 and local[0] == local[-1] == '"'
    if _BLANK.search(local.replace(" ", "") if quoted else local) or _BLANK.search(domain):
        raise ValueError("contains a space or a control character")
    if "\ufffd" in text:
        raise ValueError("contains U+FFFD, which stands where a character was lost")
    if "<" in text or ">" in text:
        raise ValueError("contains an angle bracket")
    if not quoted and (".." in f".{local}.") and not _SPECIAL.search(local):
        local, quoted = f'"{local}"', True
    try:
        found = validate_email(
            f"{local}@{domain}",
            check_deliverability=False,
            allow_smtputf8=True,
            allow_domain_literal=True,
            allow_quoted_local=True,
            globally_deliverable=False,
        )
    except EmailNotValidError as error:
        raise ValueError(f"is not a mail address: {error}") from error
    # The library lower-cases local parts such as Postmaster, so use its result only for non-ASCII ones.
    local = found.local_part if found.ascii_local_part is None else _normal(local) if quoted else local
    if _ONLY_DIGITS.search(found.ascii_domain):
        raise ValueError("ends in a number: write an IP address in brackets")
    address = f"{local}@{found.ascii_domain}"
    if len(address.encode()) > LONGEST_ADDRESS:
        raise ValueError(f"is longer than {LONGEST_ADDRESS} octets")
    return address


def _normal(quoted: str) -> str:
    """A quoted local part without unnecessary quotes or backslashes."""
    inner = re.sub(r"\\(.)", r"\1", quoted[1:-1])
    if _DOT_ATOM.fullmatch(inner):
        return inner
    escaped = inner.replace("\\", r"\\").replace('"', r"\"")
    return f'"{escaped}"'


def needs_smtputf8(address: str) -> bool:
    """Whether a checked address can only be sent to a server that offers SMTPUTF8 (RFC 6531)."""
    return not address.isascii()
