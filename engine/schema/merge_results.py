"""The answer to a merge: what became of each of its entries."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from engine.schema.blocklists import Skipped
from engine.schema.fields import Response, When
from engine.schema.reference import ReferenceShown
from engine.schema.submit_answers import Idempotency, Suppressed
from engine.schema.submit_checks import SubmitCheck


class MergeRecipient(Response, frozen=True, kw_only=True):
    """A recipient, as the request named it."""

    name: Annotated[str | UnsetType, Meta(description="The display name. Absent: none.", examples=["Jo"])] = UNSET
    address: Annotated[str, Meta(description="The email address.", examples=["jo@sandbox.example"])]


class MergeResult(Response, frozen=True, kw_only=True):
    """What became of one entry of a merge."""

    success: Annotated[bool, Meta(description="`false`: there is no message; `error` says why.")]
    to: Annotated[MergeRecipient, Meta(description="The entry's recipient.")]
    message_id: Annotated[
        str | UnsetType, Meta(description="The message's Message-ID. Absent: there is no message.")
    ] = UNSET
    queue_id: Annotated[
        str | UnsetType, Meta(description="The message's id in the outbox and in events. Absent: it is not queued.")
    ] = UNSET
    send_at: Annotated[
        When | UnsetType, Meta(description="When the first attempt is due. Absent: the message is not queued.")
    ] = UNSET
    suppressed: Suppressed = UNSET
    skipped: Annotated[Skipped | UnsetType, Meta(description="Present if nothing is sent to the recipient.")] = UNSET
    reference: Annotated[
        ReferenceShown | UnsetType, Meta(description="What became of `reference`. Absent: there was none.")
    ] = UNSET
    checks: Annotated[
        tuple[SubmitCheck, ...] | UnsetType,
        Meta(description="What is noticed about this message, but not about all of the merge. Absent: nothing is."),
    ] = UNSET
    error: Annotated[str | UnsetType, Meta(description="Why there is no message.")] = UNSET
    code: Annotated[str | UnsetType, Meta(description="A short code for the error.", examples=["SubmitFail"])] = UNSET
    status_code: Annotated[
        int | UnsetType | None, Meta(description="The status of that error. `null`: it has none. Absent: no error.")
    ] = UNSET


class MergeAccepted(Response, frozen=True, kw_only=True):
    """The messages of a merge are on disk, and queued; with `dryRun` they are only composed."""

    mail_merge: Annotated[
        tuple[MergeResult, ...], Meta(description="What became of each entry, in the order of the request.")
    ]
    checks: Annotated[
        tuple[SubmitCheck, ...] | UnsetType,
        Meta(
            description="What is noticed about all messages of the merge, the most severe first. Absent: they were not "
            "checked (the query's `check`), or there are none."
        ),
    ] = UNSET
    idempotency: Annotated[
        Idempotency | UnsetType, Meta(description="Present if the request had an `Idempotency-Key`.")
    ] = UNSET
