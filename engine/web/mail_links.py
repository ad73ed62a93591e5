"""What the links in mail say that lead to the public pages: checked, and taken apart. They have no end.

A link is signed (`engine/signed_links.py`), and `act` in its JSON is what it is for. What it says besides is as long as
its signer made it, who may be an EmailEngine before, so nothing is taken for granted.
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
    """The link by which `rcpt` leaves `list`. `own`: as far as mail of the account `acc` is concerned."""

    acc: str
    list: str
    rcpt: str
    msg: str | None = None
    own: bool = False


_KINDS: dict[str, Any] = {"open": OpenLink, "click": ClickLink, "unsub": ListLink}


def opened(keys: LinkKeys, data: str, sig: str, act: str) -> Any:
    """What a link says, as the kind of link that `act` is. Raises `Problem` 403."""
    text = keys.opened(data, sig)
    if text is not None:
        try:
            if msgspec.json.decode(text, type=dict[str, Any]).get("act") == act:
                return msgspec.json.decode(text, type=_KINDS[act])
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            pass
    raise Problem(403, _REFUSED)
