"""Submitting a draft that is in a folder."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from engine.schema.command_headers import CommandHeaders
from engine.schema.delivery_reports import DsnAsked
from engine.schema.fields import IpOrNone, ProxyUrl, Request
from engine.schema.submit import CopyPath, DeliveryAttempts, Envelope, FileCopy, Gateway, OnDoubt, SendAt


class DraftSubmit(Request, frozen=True, kw_only=True):
    """How to send the draft. Its content is what is in the folder."""

    EXAMPLE = {"sendAt": "2026-12-01T08:00:00.000Z"}
    OMITTABLE = True

    envelope: Annotated[
        Envelope | UnsetType,
        Meta(description="The SMTP envelope. Absent: it follows from the draft's own addresses."),
    ] = UNSET
    send_at: SendAt = UNSET
    delivery_attempts: DeliveryAttempts = UNSET
    on_doubt: Annotated[
        OnDoubt | UnsetType, Meta(description="As in a submission. Absent: `queue.on_doubt` of config.toml.")
    ] = UNSET
    copy: FileCopy = UNSET
    sent_mail_path: CopyPath = UNSET
    dsn: DsnAsked = UNSET
    proxy: Annotated[
        ProxyUrl | UnsetType, Meta(description="The proxy through which the message is sent. Absent: the account's.")
    ] = UNSET
    local_address: Annotated[
        IpOrNone | UnsetType,
        Meta(description="The IP address of this machine from which the message is sent. Absent: the account's."),
    ] = UNSET
    gateway: Gateway = UNSET


class DraftHeaders(CommandHeaders, frozen=True, kw_only=True):
    """Headers of the submission of a draft."""

    idempotency_key: Annotated[
        Annotated[str, Meta(max_length=1024)] | None,
        Meta(description="Your own name for this submission, as for any other. Absent: none."),
    ] = msgspec.field(name="idempotency-key", default=None)
