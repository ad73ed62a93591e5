"""Gateways: SMTP servers of the operator, through which messages of any account may go."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from engine.schema.account_condition import LastError
from engine.schema.fields import Check, Filled256, Hostname, Line, Port, Request, Response, When
from engine.schema.paging import Page
from engine.schema.servers import Tls

_ID = "relay"
GatewayId = Annotated[str, Meta(min_length=1, max_length=256, description="The gateway's id.", examples=[_ID])]
"""A gateway in a path."""
_Id = Annotated[str, Meta(description="The gateway's id.", examples=[_ID])]
_Name = Annotated[Filled256, Meta(description="Your name for it.", examples=["My relay"])]
_User = Annotated[str, Meta(max_length=1024, extra={"check": Check.LOGIN})]
_Password = Annotated[Line, Meta(max_length=1024)]
_TLS = "What TLS connections require. Absent: the certificate must be trusted and name the server."
_SECURE = "`true`: TLS from the first byte. `false`: STARTTLS if the server offers it."
_LAST_ERROR = "Why nothing can be sent through it. `null`: it works, as far as the engine knows."
_LAST_USE = "When it last accepted a message. `null`: never."
_DELIVERIES = "The number of messages that it has accepted."
_HOST = "The server's name or IP address."
_PORT = "The server's TCP port."


class GatewayCreate(Request, frozen=True, kw_only=True):
    """An SMTP server through which messages may go; it replaces the one with this id."""

    EXAMPLE = {
        "gateway": _ID,
        "name": "My relay",
        "host": "smtp.example.com",
        "port": 465,
        "secure": True,
        "user": "myuser",
        "pass": "verysecret",
    }

    gateway: Annotated[
        Annotated[str, Meta(min_length=1, max_length=256, extra={"check": Check.ACCOUNT})] | None,
        Meta(description="Your id for the gateway. `null`: the engine creates one.", examples=[_ID]),
    ]
    name: _Name
    host: Annotated[Hostname, Meta(description=_HOST)]
    port: Annotated[Port, Meta(description=_PORT, examples=[465])]
    secure: Annotated[bool, Meta(description=_SECURE + " Absent: `false`.")] = False
    user: Annotated[_User | None, Meta(description="The user name. `null` or absent: do not log in.")] = None
    password: Annotated[_Password | None, Meta(description="The password; sealed. `null` or absent: none.")] = (
        msgspec.field(name="pass", default=None)
    )
    tls: Annotated[Tls | UnsetType, Meta(description=_TLS)] = UNSET


class GatewayUpdate(Request, frozen=True, kw_only=True):
    """A change of a gateway; what is absent stays."""

    EXAMPLE = {"name": "Our relay"}

    name: Annotated[Filled256 | UnsetType, Meta(description="Your name for it. Absent: unchanged.")] = UNSET
    host: Annotated[Hostname | UnsetType, Meta(description=_HOST + " Absent: unchanged.")] = UNSET
    port: Annotated[Port | UnsetType, Meta(description=_PORT + " Absent: unchanged.", examples=[465])] = UNSET
    secure: Annotated[bool | UnsetType, Meta(description=_SECURE + " Absent: unchanged.")] = UNSET
    user: Annotated[
        _User | UnsetType | None, Meta(description="The user name. `null`: do not log in. Absent: unchanged.")
    ] = UNSET
    password: Annotated[
        _Password | UnsetType | None,
        Meta(description="The password; a masked one (`******`) is refused. `null`: none. Absent: unchanged."),
    ] = msgspec.field(name="pass", default=UNSET)
    tls: Annotated[Tls | UnsetType, Meta(description="What TLS connections require. Absent: unchanged.")] = UNSET


class GatewaySaved(Response, frozen=True, kw_only=True):
    """The gateway is stored."""

    gateway: _Id
    state: Annotated[Literal["existing", "new"], Meta(description="Whether there was one with this id before.")]


class GatewayUpdated(Response, frozen=True, kw_only=True):
    """The gateway was changed."""

    gateway: _Id


class GatewayDeleted(Response, frozen=True, kw_only=True):
    """The gateway was removed."""

    gateway: _Id
    deleted: Annotated[bool, Meta(description="Always `true`.")] = True
    waiting: Annotated[
        int,
        Meta(
            description="The number of messages that still wait for it. They are sent once a gateway with this id "
            "exists again, unless you cancel them in the outbox.",
            examples=[0],
        ),
    ] = 0


class GatewaySummary(Response, frozen=True, kw_only=True):
    """One gateway in a list."""

    gateway: _Id
    name: Annotated[str, Meta(description="Your name for it.", examples=["My relay"])]
    deliveries: Annotated[int, Meta(description=_DELIVERIES, examples=[100])]
    last_use: Annotated[When | None, Meta(description=_LAST_USE)]
    last_error: Annotated[LastError | None, Meta(description=_LAST_ERROR)]


class GatewayList(Page, frozen=True, kw_only=True):
    """A page of gateways."""

    gateways: Annotated[tuple[GatewaySummary, ...], Meta(description="The gateways on this page, oldest first.")]


class GatewayInfo(GatewaySummary, frozen=True, kw_only=True):
    """A gateway. One whose stored record cannot be read has no server."""

    host: Annotated[str | UnsetType, Meta(description=_HOST, examples=["smtp.example.com"])] = UNSET
    port: Annotated[int | UnsetType, Meta(description=_PORT, examples=[465])] = UNSET
    secure: Annotated[bool | UnsetType, Meta(description=_SECURE)] = UNSET
    user: Annotated[str | UnsetType | None, Meta(description="The user name. `null`: it does not log in.")] = UNSET
    password: Annotated[
        str | UnsetType, Meta(description="Always `******`. Absent: there is none.", examples=["******"])
    ] = msgspec.field(name="pass", default=UNSET)
    tls: Annotated[Tls | UnsetType, Meta(description=_TLS)] = UNSET
