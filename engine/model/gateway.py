"""A gateway as it is stored: an SMTP server of the operator for the mail of any account. *pure*"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from engine.model.registration import TlsOptions, Unreadable


class Gateway(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How to reach a gateway. `user` None: no login."""

    gateway: str
    name: str
    host: str
    port: int
    secure: bool = False
    user: str | None = None
    password: str | None = msgspec.field(name="pass", default=None)
    tls: TlsOptions | UnsetType = UNSET


def read(built: Any) -> Gateway:
    """Read a gateway from decoded JSON. Raises `Unreadable`."""
    try:
        return msgspec.convert(built, Gateway)
    except (msgspec.ValidationError, RecursionError) as error:
        raise Unreadable(str(error)) from error
