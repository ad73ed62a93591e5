"""The vocabulary of the fields: string shapes used by more than one noun, and the names of what types cannot say.

A field carries its check as `Meta(extra={"check": Check...})`; `engine.decoding.value_checks` has the function of each.
`SINGLE` marks a list that may be given as its one item, `ADDRESS_OR_TEXT` an address that may be given as text. Lengths
are counted in characters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, ClassVar

from msgspec import Meta, Struct, UnsetType

MAX_TEXT = 5 * 1024 * 1024
"""The longest `text` and `html`, in characters."""
MAX_RECIPIENTS = 1_000
"""The maximum entries in one of `to`, `cc`, `bcc`, `replyTo`, `envelope.to`."""
MAX_ATTACHMENTS = 1_000
MAX_HEADERS = 1_000
MAX_MERGE = 1_000
"""The maximum entries of `mailMerge`."""


class Check(StrEnum):
    """What must hold for a value beyond its type. A check may also bring the value into its one normal form."""

    LINE = "line"
    """No CR, LF or NUL."""
    LOGIN = "login"
    """No control characters: they divide the members of a login (RFC 7628 section 3.1)."""
    ACCOUNT = "account"
    """A line; surrounding blanks are dropped; something is left."""
    EMAIL = "email"
    """An address; normalised."""
    EMAIL_OR_EMPTY = "email-or-empty"
    """An address, or `""` for the null sender."""
    HOSTNAME = "hostname"
    """A host name in ASCII, or an IP address."""
    WEB_URL = "web-url"
    """An absolute http or https URL."""
    WEB_URL_OR_EMPTY = "web-url-or-empty"
    """An absolute http or https URL, or `""` for none."""
    PROXY_OR_EMPTY = "proxy-or-empty"
    """The URL of a SOCKS or HTTP proxy, or `""` for none."""
    IP = "ip"
    """An IPv4 or IPv6 address without a zone; normalised."""
    IP_OR_EMPTY = "ip-or-empty"
    """The same, or `""` for none."""
    NETWORK = "network"
    """An IPv4 or IPv6 address without a zone, or a network; normalised, IPv4-mapped ones to IPv4."""
    JSON = "json"
    """The text of a JSON value."""
    HEADER_NAME = "header-name"
    """RFC 5322 section 2.2: printable ASCII without blank and colon."""
    ENVELOPE_ID = "envelope-id"
    """Printable ASCII, at most 100 octets in xtext (RFC 3461 section 4.4)."""
    MESSAGE_ID = "message-id"
    """One message identifier; normalised to stand in one pair of angle brackets."""
    INSTANT = "instant"
    """A moment; normalised to UTC."""
    PORT = "port"
    """1 to 65535, under its own wording."""
    NAME = "name"
    """Letters, digits, `.`, `_` and `-`."""
    SECRET = "secret"
    """A Standard Webhooks secret: `whsec_` and 24 to 64 bytes in base64."""
    EVENT_NAME = "event-name"
    """The name of an event, or `*`."""
    EVENT_NAMES = "event-names"
    """Such names, separated by commas."""
    CUSTOM_HEADER = "custom-header"
    """A header name that is not the engine's own."""
    HEADER_VALUE = "header-value"
    """What may stand in an HTTP header (RFC 9110 section 5.5): one line without control characters but tabs."""
    EXPRESSION = "expression"
    """A JMESPath expression."""
    SEQUENCE = "sequence"
    """Numbers and ranges of numbers, `*` for the last (RFC 9051 section 9)."""
    FLAG = "flag"
    """A flag that IMAP can carry and a client may set."""
    TEXT = "text"
    """Anything but NUL."""
    FALSE = "false"
    """Only `false`, where `false` means "none"."""
    UNSUPPORTED = "unsupported"
    """Only `false`, where `true` would switch on what the engine does not do."""


Example = dict[str, Any]
"""A whole object as the documentation shows it, by names on the wire."""


class Request(Struct, rename="camel", forbid_unknown_fields=True, frozen=True, kw_only=True):
    """What every object in a request has in common: unknown members are refused."""

    EXAMPLE: ClassVar[Example | None] = None
    """What the documentation shows. None: made of the members that are required or have an example of their own."""
    OMITTABLE: ClassVar[bool] = False
    """Whether a request without a body, or with `null` as its body, is the same as one with `{}`."""

    @staticmethod
    def wrong_together(get: Callable[[str], Any]) -> Iterator[tuple[str, str]]:
        """What is wrong between members, as (member's name on the wire or "" for the object, what is wrong with it).

        `get` gives a member by attribute name: its value; `UNSET` or its default if absent; something true and of no
        other use if it is wrong by itself.
        """
        return iter(())


class Response(Struct, rename="camel", frozen=True, kw_only=True):
    """What every object in an answer or an event has in common. `UNSET` members are left out."""

    EXAMPLE: ClassVar[Example | None] = None
    """As that of `Request`."""


ADDRESS_OR_TEXT = Meta(extra={"address": True}, extra_json_schema={"x-address": True})
"""Marks an object of `name` and `address` that may be given as text: `a@b.example` or `Name <a@b.example>`."""
SINGLE = Meta(extra={"single": True}, extra_json_schema={"x-single": True})

Line = Annotated[str, Meta(extra={"check": Check.LINE})]
Line100 = Annotated[Line, Meta(max_length=100)]
Line256 = Annotated[Line, Meta(max_length=256)]
Filled256 = Annotated[Line, Meta(min_length=1, max_length=256)]
FieldName = Annotated[str, Meta(min_length=1, max_length=200, extra={"check": Check.HEADER_NAME})]
MailboxPath = Annotated[Line, Meta(min_length=1, max_length=1024)]
Secret = Annotated[Line, Meta(max_length=256)]
LoginUser = Annotated[str, Meta(min_length=1, max_length=256, extra={"check": Check.LOGIN})]
AccessToken = Annotated[str, Meta(min_length=1, max_length=16384, extra={"check": Check.LOGIN})]
Email = Annotated[str, Meta(min_length=1, extra={"check": Check.EMAIL}, extra_json_schema={"format": "email"})]
Hostname = Annotated[
    str, Meta(min_length=1, max_length=255, extra={"check": Check.HOSTNAME}, examples=["mail.example.com"])
]
Port = Annotated[int, Meta(ge=1, le=65535, extra={"check": Check.PORT})]
WebUrl = Annotated[
    str, Meta(min_length=1, max_length=2048, extra={"check": Check.WEB_URL}, extra_json_schema={"format": "uri"})
]
ProxyUrl = Annotated[
    str,
    Meta(
        max_length=1024,
        extra={"check": Check.PROXY_OR_EMPTY},
        extra_json_schema={"format": "uri"},
        examples=["socks5://user:password@proxy.example.com:1080"],
    ),
]
Ip = Annotated[str, Meta(min_length=1, max_length=45, extra={"check": Check.IP}, examples=["192.0.2.17"])]
IpOrNone = Annotated[str, Meta(max_length=45, extra={"check": Check.IP_OR_EMPTY}, examples=["192.0.2.17"])]
EventNames = Annotated[
    tuple[Annotated[str, Meta(min_length=1, max_length=256, extra={"check": Check.EVENT_NAME})], ...],
    Meta(max_length=1000),
]
Instant = Annotated[datetime, Meta(tz=True, extra={"check": Check.INSTANT}, examples=["2026-11-22T11:45:23.564Z"])]
"""ISO 8601 with `Z` or an offset; a date alone is its midnight in UTC."""
Off = Annotated[bool, Meta(extra={"check": Check.FALSE}, extra_json_schema={"const": False})]
"""`false` and nothing else."""
Unsupported = Annotated[
    bool,
    Meta(
        description="Only `false`, the same as absent: the engine does not do this yet.",
        extra={"check": Check.UNSUPPORTED},
        extra_json_schema={"const": False},
    ),
]
"""A switch of EmailEngine's for what the engine does not do yet."""


NoDifference = Annotated[bool | UnsetType, Meta(description="Makes no difference here, present or absent.")]
"""What callers of EmailEngine may say and need not."""


class CustomHeader(Request, frozen=True, kw_only=True):
    """A header that accompanies every webhook."""

    key: Annotated[
        Annotated[str, Meta(min_length=1, max_length=1024, extra={"check": Check.CUSTOM_HEADER})],
        Meta(description="The header's name.", examples=["X-Api-Key"]),
    ]
    value: Annotated[
        Annotated[str, Meta(max_length=10240, extra={"check": Check.HEADER_VALUE})],
        Meta(description="The header's value, without control characters.", examples=["..."]),
    ] = ""


AccountId = Annotated[str, Meta(min_length=1, description="The account's id.", examples=["example"])]
"""An account in a path."""
When = Annotated[str, Meta(extra_json_schema={"format": "date-time"}, examples=["2026-11-22T11:45:23.564Z"])]
"""A time in an answer: ISO 8601 in UTC with milliseconds."""
Address = Annotated[str, Meta(extra_json_schema={"format": "email"}, examples=["andris@example.com"])]
"""An email address in an answer."""
OfSandbox = Annotated[
    bool | UnsetType,
    Meta(description="`true`: the message is a sandbox account's, so it reached no one. Absent: it left the engine."),
]
"""Whether an event is about mail that was only rehearsed."""


class NoQuery(Request, frozen=True, kw_only=True):
    """The query of an operation that takes none."""
