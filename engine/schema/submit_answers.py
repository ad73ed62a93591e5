"""The answers to a submission."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType

from engine.schema.blocklists import Skipped
from engine.schema.fields import Response, When
from engine.schema.reference import ReferenceShown
from engine.schema.submit_checks import Checks
from engine.schema.suppression import SuppressedRecipient


class Idempotency(Response, frozen=True, kw_only=True):
    """Whether the engine has seen the `Idempotency-Key` before."""

    key: Annotated[str, Meta(description="The key.", examples=["order-4711"])]
    status: Annotated[
        Literal["MISS", "HIT"], Meta(description="`HIT`: this is the first answer again, and nothing was queued.")
    ]


Suppressed = Annotated[
    tuple[SuppressedRecipient, ...] | UnsetType,
    Meta(description="The suppressed recipients, and what that meant for each. Absent: none is."),
]


class SubmitAccepted(Response, frozen=True, kw_only=True):
    """The message is on disk, and queued."""

    response: Annotated[Literal["Queued for delivery"], Meta(description="Always the same.")] = "Queued for delivery"
    message_id: Annotated[str, Meta(description="The message's Message-ID.", examples=["<1@example.com>"])]
    send_at: Annotated[When, Meta(description="When the first attempt is due.")]
    queue_id: Annotated[
        str, Meta(description="The message's id in the outbox and in events.", examples=["1a20313426c0f27d36e"])
    ]
    reference: Annotated[
        ReferenceShown | UnsetType, Meta(description="What became of `reference`. Absent: there was none.")
    ] = UNSET
    suppressed: Suppressed = UNSET
    checks: Checks = UNSET
    idempotency: Annotated[
        Idempotency | UnsetType, Meta(description="Present if the request had an `Idempotency-Key`.")
    ] = UNSET


class SubmitSkipped(Response, frozen=True, kw_only=True):
    """The message is not sent: its recipient is on the blocklist of its `listId`, or all of them are suppressed.

    Nothing is queued.
    """

    response: Annotated[Literal["Skipped"], Meta(description="Always the same.")] = "Skipped"
    skipped: Annotated[Skipped, Meta(description="Why.")]
    suppressed: Suppressed = UNSET


class DryRun(Response, frozen=True, kw_only=True):
    """The message that would have been sent, for a `dryRun`. Nothing is queued."""

    response: Annotated[Literal["Dry run"], Meta(description="Always the same.")] = "Dry run"
    message_id: Annotated[str, Meta(description="The Message-ID in the preview.", examples=["<1@example.com>"])]
    reference: Annotated[
        ReferenceShown | UnsetType, Meta(description="What became of `reference`. Absent: there was none.")
    ] = UNSET
    suppressed: Suppressed = UNSET
    checks: Checks = UNSET
    preview: Annotated[
        str,
        Meta(
            description="The whole message, in base64.",
            examples=["RnJvbTogLi4u"],
            extra_json_schema={"contentEncoding": "base64"},
        ),
    ]
