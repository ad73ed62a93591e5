"""The form in which people connect their mailbox: what a link to it says."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from engine.schema.fields import (
    SINGLE,
    Check,
    Email,
    Filled256,
    Instant,
    Line256,
    MailboxPath,
    Off,
    Request,
    Response,
    WebUrl,
)

_Account = Annotated[str, Meta(min_length=1, max_length=256, extra={"check": Check.ACCOUNT})]
_Folders = Annotated[tuple[Filled256, ...], SINGLE, Meta(max_length=100)]
_Paths = Annotated[tuple[MailboxPath, ...], SINGLE, Meta(max_length=100)]


class AuthenticationForm(Request, frozen=True, kw_only=True):
    """A link to the form: whom it is for, and where it leads afterwards."""

    account: Annotated[
        _Account | None,
        Meta(
            description="Id of the account: created if there is none, else its login is replaced. `null` or absent: "
            "the engine makes an id.",
            examples=["example"],
        ),
    ] = None
    name: Annotated[
        Line256 | UnsetType | None, Meta(description="Name that stands in the form already. Absent: none.")
    ] = UNSET
    email: Annotated[Email | UnsetType, Meta(description="Address that stands in the form already. Absent: none.")] = (
        UNSET
    )
    expected_email: Annotated[
        Email | UnsetType,
        Meta(description="The only address that is taken. Absent: any."),
    ] = UNSET
    delegated: Annotated[
        bool,
        Meta(description="Whether `email` is a shared mailbox, to which the person who signs in has access."),
    ] = False
    notify_from: Annotated[
        Instant | UnsetType | None,
        Meta(description="Only messages newer than this raise `messageNew`. Absent: from then on; `null`: all."),
    ] = UNSET
    subconnections: Annotated[
        _Folders | UnsetType,
        Meta(description="Further folders that get an IDLE connection of their own. Absent: none."),
    ] = UNSET
    path: Annotated[_Paths | UnsetType | None, Meta(description="Folders to watch. `null` or absent: all.")] = UNSET
    redirect_url: Annotated[
        WebUrl,
        Meta(
            description="Where the browser goes once the account is connected, with `account` and `state` (`new` or "
            "`existing`) in its query.",
            examples=["https://app.example.com/mailbox/connected"],
        ),
    ]
    error_redirect: Annotated[
        WebUrl | UnsetType,
        Meta(
            description="Where the browser goes when it is not, with `error` in its query: `access_denied`, "
            "`wrong_account`, `missing_scope` and others. Absent: the person is told on a page."
        ),
    ] = UNSET
    type: Annotated[
        Line256 | Off,
        Meta(
            description="What is offered: `imap`, or the id of an OAuth2 app. `false`: all that there is.",
            examples=["imap"],
        ),
    ] = False


class AuthenticationFormCreated(Response, frozen=True, kw_only=True):
    """The link."""

    url: Annotated[
        str,
        Meta(
            description="Good for 24 hours and for one account.",
            extra_json_schema={"format": "uri"},
            examples=["https://mail.example.com/accounts/new?data=eyJ…&sig=Zm9…"],
        ),
    ]
