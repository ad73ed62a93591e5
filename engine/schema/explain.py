"""The reply of a mail server in words, as events and the outbox show it."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType

from engine.schema.fields import Response


class Explain(Response, frozen=True, kw_only=True):
    """What a reply of a mail server means."""

    EXAMPLE = {
        "known": True,
        "what": "The recipient's mailbox is full.",
        "fault": "recipient",
        "todo": "Tell the recipient by another way. As long as the message waits, the engine tries again by itself.",
        "source": "https://www.rfc-editor.org/rfc/rfc3463",
    }

    known: Annotated[
        bool, Meta(description="`false`: the engine does not know this reply, only whether it is for good.")
    ]
    what: Annotated[str, Meta(description="What happened.", examples=["The recipient's mailbox is full."])]
    fault: Annotated[
        Literal["sender", "message", "recipient", "provider", "network", "unknown"],
        Meta(
            description="Whose fault it is. `sender`: the account or its domain. `message`: its contents. `recipient`: "
            "the address or its mailbox. `provider`: the server that answered. `network`: the IP address that the mail "
            "came from. `unknown`: the reply does not say."
        ),
    ]
    todo: Annotated[str, Meta(description="What to do about it.")]
    source: Annotated[
        str | UnsetType, Meta(description="Where the meaning is documented. Absent: the reply is not known.")
    ] = UNSET
