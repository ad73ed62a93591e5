"""How a message is to be sent, apart from its content."""

from __future__ import annotations

from datetime import datetime
from typing import TypeVar

import msgspec
from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from engine.model.message import Dsn, IfSuppressed, OnDoubt
from engine.schema.delivery_reports import DsnWanted
from engine.schema.draft_submit import DraftSubmit
from engine.schema.submit import Submit

T = TypeVar("T")


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """What a caller requests. None: what follows from the message, or the default of the account or the engine.

    * `now`: when the message was submitted, `send_at`: when it is due; both in seconds since 1970.
    * `sender`: the address for bounces, "" for the null sender; `recipients`: () for those of the message.
    * `attempts`: the maximum number of attempts. `on_doubt`: what to do if the outcome stays unknown.
    * `copy`: whether to file a copy, `copy_path`: the folder for it.
    * `list_id`: the list that it goes to; `own_list`: leaving it counts for the account alone.
    * `track_opens`, `track_clicks`: whether its HTML reports them. `base_url`: where its links to the engine lead.
    * `rehearsal`: it is only shown, so nothing is tracked.
    * `dsn`: which reports to request from the recipients' servers.
    * `gateway`: the gateway requested, which need not exist.
    * `if_suppressed`: what happens if a recipient is suppressed.
    * `proxy` (a URL) and `local_address`: the message's own, which its caller has checked.
    """

    now: float
    send_at: float
    sender: str | None = None
    recipients: tuple[str, ...] = ()
    attempts: int | None = None
    on_doubt: OnDoubt | None = None
    copy: bool | None = None
    copy_path: str | None = None
    gateway: str | None = None
    proxy: str | None = None
    local_address: str | None = None
    list_id: str | None = None
    own_list: bool = False
    track_opens: bool | None = None
    track_clicks: bool | None = None
    base_url: str | None = None
    rehearsal: bool = False
    dsn: Dsn | None = None
    if_suppressed: IfSuppressed = "skip"


def terms_of(body: Submit | DraftSubmit, now: float, *, narrowed: bool = False) -> Terms:
    """The terms in a request; `narrowed`: with a token for one account."""
    sender: str | None = None
    recipients: tuple[str, ...] = ()
    if body.envelope is not UNSET:
        sender = None if body.envelope.sender is UNSET else body.envelope.sender
        recipients = body.envelope.to
    terms = Terms(
        now=now,
        send_at=now if body.send_at is UNSET else due_at(body.send_at, now),
        sender=sender,
        recipients=recipients,
        attempts=None if body.delivery_attempts is UNSET else max(body.delivery_attempts, 1),
        on_doubt=None if body.on_doubt is UNSET else OnDoubt(body.on_doubt),
        copy=body.copy if isinstance(body.copy, bool) else None,
        copy_path=None if body.sent_mail_path is UNSET else body.sent_mail_path,
        gateway=body.gateway or None,
        proxy=body.proxy or None,
        local_address=body.local_address or None,
        dsn=None if body.dsn is UNSET else dsn_of(body.dsn),
    )
    if not isinstance(body, Submit):
        return terms
    both = _given(body.tracking_enabled)
    opens, clicks = _given(body.track_opens), _given(body.track_clicks)
    return replace(
        terms,
        list_id=_given(body.list_id),
        own_list=narrowed,
        track_opens=both if opens is None else opens,
        track_clicks=both if clicks is None else clicks,
        base_url=_given(body.base_url),
        rehearsal=body.dry_run,
        if_suppressed="skip" if body.if_suppressed is UNSET else body.if_suppressed,
    )


def due_at(asked: datetime, now: float) -> float:
    """The requested time, or `now` if that is past (seconds since 1970)."""
    return max(asked.timestamp(), now)


def dsn_of(wanted: DsnWanted) -> Dsn:
    """The reports requested, in the words of SMTP."""
    return Dsn(
        full=wanted.return_ == "full",
        id=wanted.id or None,
        notify=tuple(dict.fromkeys(each.upper() for each in wanted.notify)),
        recipient=None if wanted.recipient is UNSET else wanted.recipient,
    )


def _given(value: T | UnsetType) -> T | None:
    return None if value is UNSET else value
