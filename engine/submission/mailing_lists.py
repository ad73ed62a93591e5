"""Mail to a list: its header fields, and the link with which a recipient leaves it. Pure.

The fields are `List-ID` (RFC 2919), `List-Unsubscribe` (RFC 2369) and `List-Unsubscribe-Post` (RFC 8058), which replace
such fields of the caller. The link is at the engine's public URL and names account, list and recipient; its holder can
only leave the list and come back.
"""

from __future__ import annotations

import functools
import ipaddress
from collections.abc import Sequence
from urllib.parse import urlsplit

import msgspec

from engine.host_names import ascii_name
from engine.mail.header_writing import HeaderError
from engine.submission.tracking import UNSUBSCRIBE_PATH, Sign, base_of

FIELD = "listId"
ONE_CLICK = "List-Unsubscribe=One-Click"
LONGEST_LINK = 900
"""Maximum characters of the link: a header line holds 998 octets (RFC 5322 section 2.1.1)."""
LONGEST_LIST_ID = 255
"""RFC 2919 section 2."""
_OURS = frozenset({"list-id", "list-unsubscribe", "list-unsubscribe-post"})
_LOCAL_NAMES = ("localhost", "localdomain", "local", "internal", "home.arpa", "test", "invalid")

Fields = tuple[tuple[str, str], ...]


class Leaving(msgspec.Struct, frozen=True, omit_defaults=True):
    """The content of a link to the page: `rcpt` leaves `list`. `own`: it counts for mail of the account alone."""

    act: str
    acc: str
    list: str
    rcpt: str
    msg: str = ""
    own: bool = False


def public_base(base_url: str | None, *, near: bool) -> str:
    """The URL for links in mail, without a final slash. `near`: the mail server is on this machine or network, too.

    Raises `HeaderError` if there is none, or none that recipients of such mail can reach.
    """
    if not base_url:
        raise HeaderError(FIELD, "needs the setting serviceUrl: the public URL at which recipients reach this engine")
    host = urlsplit(base_url).hostname or ""
    if not near and not is_public(host):
        raise HeaderError(
            FIELD, f"needs a public URL in the setting serviceUrl: recipients of this mail cannot reach {host}"
        )
    return base_of(base_url)


@functools.lru_cache(maxsize=1)
def unsubscribe_link(base: str, leaving: Leaving, sign: Sign) -> str:
    """The link with which a recipient leaves a list. Raises `HeaderError` if it would be too long for a header.

    The last one is kept: it stands in the header of a message and in its texts.
    """
    for each in (leaving, msgspec.structs.replace(leaving, msg="")):
        link = f"{base}{UNSUBSCRIBE_PATH}?{sign(msgspec.json.encode(each))}"
        if len(link) <= LONGEST_LINK:
            return link
    raise HeaderError(FIELD, "makes the link for unsubscribing too long, with this account, recipient and serviceUrl")


def list_fields(list_id: str, base: str, link: str) -> Fields:
    """The header fields of a message to a list. Raises `HeaderError` if `list_id` is too long."""
    name = f"{list_id}.{_domain(urlsplit(base).hostname or '')}"
    if len(name) > LONGEST_LIST_ID:
        raise HeaderError(FIELD, f"is too long: with the host of serviceUrl it has more than {LONGEST_LIST_ID} octets")
    return (
        ("List-ID", f"<{name}>"),
        ("List-Unsubscribe", f"<{link}>"),
        ("List-Unsubscribe-Post", ONE_CLICK),
    )


def with_list_fields(fields: Sequence[tuple[str, str]], ours: Fields) -> Fields:
    """The caller's own header fields, with those of the list replacing their like."""
    return (*(each for each in fields if each[0].lower() not in _OURS), *ours)


def is_public(host: str) -> bool:
    """Whether a name or an IP address may be reached from anywhere."""
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_global
    except ValueError:
        name = host.lower().rstrip(".")
    return "." in name and not any(name.endswith(f".{each}") for each in _LOCAL_NAMES)


def _domain(host: str) -> str:
    """What follows the list in its id: an unmanaged list is one of `localhost` (RFC 2919 section 3)."""
    name = host.rstrip(".")
    if ":" in name:
        return "localhost"
    try:
        return ascii_name(name)
    except UnicodeError:
        return "localhost"
