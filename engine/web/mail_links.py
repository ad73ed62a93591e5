"""Checks and parses the links in mail that lead to the public pages. They never expire.

A link is signed (`engine/signed_links.py`), and `act` in its JSON is what it is for. Its other members may have any
length and may come from an earlier EmailEngine, so nothing about them is taken for granted.
"""

from __future__ import annotations

from typing import Any

import msgspec

from engine.errors import Problem
from engine.signed_links import LinkKeys

_REFUSED = "This link is not complete, or it was changed on its way. Open it again from the mail that it came with"


class OpenLink(msgspec.Struct, frozen=True):
    """The link of a picture in the mail `msg` of the account `acc`."""

    acc: str
    msg: str


class ClickLink(msgspec.Struct, frozen=True):
    """A link in the mail `msg` of the account `acc` that leads on to `url`."""

    acc: str
    msg: str
    url: str


class ListLink(msgspec.Struct, frozen=True):
    """The link by which `rcpt` leaves `list`. `own`: only as far as mail of the account `acc` is concerned."""

    acc: str
    list: str
    rcpt: str
    msg: str | None = None
    own: bool = False


_KINDS: dict[str, Any] = {"open": OpenLink, "click": ClickLink, "unsub": ListLink}


def opened(keys: LinkKeys, data: str, sig: str, act: str) -> Any:
    """The content of a link, as the kind that its `act` names. Raises `Problem` 403."""
    text = keys.opened(data, sig)
    if text is not None:
        try:
            if msgspec.json.decode(text, type=dict[str, Any]).get("act") == act:
                return msgspec.json.decode(text, type=_KINDS[act])
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            pass
    raise Problem(403, _REFUSED)
