"""Checks of request values beyond their type: one function for each `Check`.

Each takes a value that its type already allows and returns it in normal form, or raises `ValueError` with words that
complete the sentence `"<path>" ...`. They see only the value and never check whether a host or an account exists.
"""

from __future__ import annotations

import difflib
import ipaddress
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import msgspec

from engine.escaping import has_controls
from engine.imap.commands import flag_list
from engine.mail.addresses import parse_address
from engine.mail.header_writing import message_id_of
from engine.masking import MASK
from engine.model.token_restrictions import parsed_network
from engine.proxies import proxy
from engine.schema.events import EVENT_DATA
from engine.schema.fields import Check
from engine.smtp.report_options import LONGEST_ENVELOPE_ID, xtext
from engine.webhooks import signing
from engine.webhooks.expressions import Expression
from engine.webhooks.target import reserved

EMPTY = "is not allowed to be empty"

_BREAK = re.compile(r"[\r\n\0]")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_HOSTNAME = re.compile(
    r"(?=.{1,254}\Z)(?:(?!-)[A-Za-z0-9_-]{1,63}(?<!-)\.)*(?!-)(?![0-9]+\.?\Z)[A-Za-z0-9_-]{1,63}(?<!-)\.?"
)
_HEADER_NAME = re.compile(r"[!-9;-~]+")
_NUMBER = r"(?:[1-9][0-9]{0,9}|\*)"
_SEQUENCE = re.compile(rf"{_NUMBER}(?::{_NUMBER})?(?:,{_NUMBER}(?::{_NUMBER})?)*", re.ASCII)
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_NAME = re.compile(r"[A-Za-z0-9._-]+")
_URL = re.compile(r"https?://[^\s\x00-\x20\x7f-\xa0\\]+", re.IGNORECASE)


def line(value: str) -> str:
    """Text without line breaks."""
    if not value.isprintable() and (found := _BREAK.search(value)):
        raise ValueError("must not contain null characters" if found[0] == "\0" else "must not contain line breaks")
    return value


def login(value: str) -> str:
    """A user or an access token, without control characters."""
    value = line(value)
    if has_controls(value):
        raise ValueError("must not contain control characters")
    return value


def account(value: str) -> str:
    """An account id without surrounding blanks."""
    value = line(value).strip()
    if not value:
        raise ValueError(EMPTY)
    return value


def email(value: str) -> str:
    """An address in the form in which it is sent."""
    try:
        return parse_address(value)
    except ValueError as error:
        raise ValueError("must be a valid email") from error


def email_or_empty(value: str) -> str:
    """An address or the null sender."""
    return email(value) if value else value


def hostname(value: str) -> str:
    """A host name of ASCII labels (an IDN as A-labels; underscores occur in private networks) or an IP address."""
    if not _HOSTNAME.fullmatch(value):
        try:
            ipaddress.ip_address(value)
        except ValueError as error:
            raise ValueError("must be a valid hostname") from error
    return value


def web_url(value: str) -> str:
    """An absolute http or https URL with a host."""
    try:
        parts = urlsplit(value)
        good = bool(_URL.fullmatch(value) and parts.hostname and parts.port != 0)
        if good and parts.hostname and parts.hostname.isascii():
            hostname(parts.hostname)
    except ValueError:
        good = False
    if not good:
        raise ValueError("must be a valid uri with a scheme matching the http|https pattern")
    return value


def web_url_or_empty(value: str) -> str:
    """The same, or nothing."""
    return web_url(value) if value else value


def proxy_or_empty(value: str) -> str:
    """The URL of a proxy, or nothing."""
    if value:
        proxy.parse(value)
    return value


def ip(value: str) -> str:
    """An IP address in canonical form."""
    try:
        address = ipaddress.ip_address(value)
    except ValueError as error:
        raise ValueError("must be a valid ip address") from error
    if "%" in value:
        raise ValueError("must be a valid ip address without a zone")
    return str(address)


def ip_or_empty(value: str) -> str:
    """The same, or nothing."""
    return ip(value) if value else value


def network(value: str) -> str:
    """An address, or a network in CIDR notation; IPv4-mapped IPv6 becomes IPv4. Bits after the prefix are dropped."""
    try:
        found = parsed_network(value)
    except ValueError as error:
        raise ValueError("must be a valid ip address, perhaps with a CIDR") from error
    return str(found) if "/" in value else str(found.network_address)


def json_text(value: str) -> str:
    """The text of a JSON value; "" for none."""
    try:
        msgspec.json.decode(value or "null")
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError) as error:
        raise ValueError("must be a valid JSON string") from error
    return value


def header_name(value: str) -> str:
    """A header field name (RFC 5322 section 2.2)."""
    if not _HEADER_NAME.fullmatch(value):
        raise ValueError("must be a valid header name")
    return value


def message_id(value: str) -> str:
    """A message id in angle brackets."""
    try:
        return message_id_of(value)
    except ValueError as error:
        raise ValueError("must be a valid Message-ID") from error


def envelope_id(value: str) -> str:
    """An envelope id as SMTP carries it."""
    if not (value.isascii() and value.isprintable()):
        raise ValueError("must hold only printable ASCII")
    if len(xtext(value)) > LONGEST_ENVELOPE_ID:
        raise ValueError(f"must have at most {LONGEST_ENVELOPE_ID} characters, with +, = and blanks counted as three")
    return value


def instant(value: datetime) -> datetime:
    """A time in UTC, in the years 1 to 9999."""
    if value.tzinfo is UTC:
        return value
    try:
        return value.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("must be in ISO 8601 date format") from error


def name(value: str) -> str:
    """A name that needs no escaping in a path."""
    if not _NAME.fullmatch(value):
        raise ValueError("must hold only letters, digits, dots, dashes and underscores")
    return value


def event_name(value: str) -> str:
    """The name of an event, or `*` for all; no other event would ever be posted."""
    if value != "*" and value not in EVENT_DATA:
        close = difflib.get_close_matches(value, EVENT_DATA, n=1)
        raise ValueError(f"is not the name of an event{f', {close[0]} is' if close else ''}")
    return value


def event_names(value: str) -> str:
    """Such names, separated by commas."""
    for each in value.split(","):
        if each.strip():
            event_name(each.strip())
    return value


def secret(value: str) -> str:
    """A secret that signs webhooks."""
    if value != MASK:
        signing.check_secret(value)
    return value


def custom_header(value: str) -> str:
    """The name of a custom header for webhooks."""
    if not _TOKEN.fullmatch(value):
        raise ValueError("must be a valid header name")
    if reserved(value):
        raise ValueError("is a header of the engine's own")
    return value


def header_value(value: str) -> str:
    """The value of a webhook header, without control characters: receivers and proxies refuse those."""
    if _CONTROL.search(line(value)):
        raise ValueError("must not contain control characters")
    return value


def expression(value: str) -> str:
    """A filter or map of a webhook."""
    Expression(value).check()
    return value


def unsupported(value: bool | str | float) -> bool | str | float:
    """`false`, "" or 0: what the engine does not do yet stays off."""
    if value:
        off = "empty" if isinstance(value, str) else "false" if isinstance(value, bool) else "0"
        raise ValueError(f"must be {off}: the engine does not do this yet")
    return value


def false(value: bool) -> bool:
    """`false`, which means "none" where an object is expected."""
    if value:
        raise ValueError("must be of type object")
    return value


def sequence(value: str) -> str:
    """A set of numbers above 0, each of at most 32 bits (RFC 9051 section 9)."""
    if not _SEQUENCE.fullmatch(value) or any(int(each) > 2**32 - 1 for each in re.findall("[0-9]+", value)):
        raise ValueError("must be a sequence set such as 1,4:6,8:*")
    return value


def flag(value: str) -> str:
    """A system flag or a keyword: an atom (RFC 9051 section 9). Only the server sets `\\Recent`."""
    try:
        flag_list((value,))
    except ValueError as error:
        raise ValueError("must be a flag: ASCII without blanks, quotes, brackets and wildcards") from error
    if value.lower() == "\\recent":
        raise ValueError("is set only by the mail server")
    return value


def text(value: str) -> str:
    """Text without NUL, which IMAP cannot carry."""
    if "\0" in value:
        raise ValueError("must not contain null characters")
    return value


CHECKS: dict[Check, Callable[[Any], Any]] = {
    Check.LINE: line,
    Check.LOGIN: login,
    Check.ACCOUNT: account,
    Check.EMAIL: email,
    Check.EMAIL_OR_EMPTY: email_or_empty,
    Check.HOSTNAME: hostname,
    Check.WEB_URL: web_url,
    Check.WEB_URL_OR_EMPTY: web_url_or_empty,
    Check.PROXY_OR_EMPTY: proxy_or_empty,
    Check.IP: ip,
    Check.IP_OR_EMPTY: ip_or_empty,
    Check.NETWORK: network,
    Check.JSON: json_text,
    Check.HEADER_NAME: header_name,
    Check.ENVELOPE_ID: envelope_id,
    Check.MESSAGE_ID: message_id,
    Check.INSTANT: instant,
    Check.NAME: name,
    Check.EVENT_NAME: event_name,
    Check.EVENT_NAMES: event_names,
    Check.SECRET: secret,
    Check.CUSTOM_HEADER: custom_header,
    Check.HEADER_VALUE: header_value,
    Check.EXPRESSION: expression,
    Check.SEQUENCE: sequence,
    Check.FLAG: flag,
    Check.TEXT: text,
    Check.FALSE: false,
    Check.UNSUPPORTED: unsupported,
}
"""`Check.PORT` needs no function: it only words the range of its type (`engine.decoding.explain`)."""
