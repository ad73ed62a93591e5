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
            description="The account's id. If the account exists, its login is replaced; otherwise it is created. "
            "`null` or absent: the engine creates an id.",
            examples=["example"],
        ),
    ] = None
    name: Annotated[
        Line256 | UnsetType | None, Meta(description="The name already filled in on the form. Absent: none.")
    ] = UNSET
    email: Annotated[
        Email | UnsetType, Meta(description="The address already filled in on the form. Absent: none.")
    ] = UNSET
    expected_email: Annotated[
        Email | UnsetType,
        Meta(description="The only address that may be connected. Absent: any."),
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
            description="Where the browser goes if it is not, with `error` in its query: `access_denied`, "
            "`wrong_account`, `missing_scope` and others. Absent: a page tells the person."
        ),
    ] = UNSET
    skip_server_settings: Annotated[
        bool,
        Meta(
            description="Whether the page for the password folds away servers that are certain. `false`: it shows them."
        ),
    ] = True
    type: Annotated[
        Line256 | Off,
        Meta(
            description="What the form offers: `imap`, or the id of an OAuth2 app. `false`: everything.",
            examples=["imap"],
        ),
    ] = False


class AuthenticationFormCreated(Response, frozen=True, kw_only=True):
    """The link."""

    url: Annotated[
        str,
        Meta(
            description="The link. It is valid for 24 hours and for one account.",
            extra_json_schema={"format": "uri"},
            examples=["https://mail.example.com/accounts/new?data=eyJ…&sig=Zm9…"],
        ),
    ]
