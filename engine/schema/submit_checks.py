"""What is noticed about a message before it is sent."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType

from engine.schema.fields import Response

CheckCode = Literal[
    "spfOk",
    "spfMissing",
    "spfInvalid",
    "spfFails",
    "spfUnknown",
    "dkimOk",
    "dkimMissing",
    "dkimInvalid",
    "dkimUnknown",
    "dmarcOk",
    "dmarcMissing",
    "dmarcInvalid",
    "dmarcFails",
    "dmarcUnknown",
    "lookupFailed",
    "domainUnknown",
    "domainTakesNoMail",
    "notLookedUp",
    "senderRewritten",
    "unsubscribeMissing",
    "oneClickMissing",
    "textMissing",
    "tooLarge",
    "cidBroken",
    "linkNotSecure",
    "variableUnresolved",
    "htmlDropped",
    "htmlClipped",
    "checkFailed",
    "contentNotChecked",
]
Severity = Literal["error", "warning", "info", "ok"]


class SubmitCheck(Response, frozen=True, kw_only=True):
    """The result of one check of a message."""

    code: Annotated[
        CheckCode,
        Meta(description="What was found; `docs/checks.md` explains each code.", examples=["spfMissing"]),
    ]
    severity: Annotated[
        Severity,
        Meta(
            description="`error`: mail servers will refuse the message, or put it into the spam folder. `warning`: "
            "some may, or some recipients will not see what you see. `info`: what cannot be known, or may be "
            "intended. `ok`: nothing is wrong."
        ),
    ]
    message: Annotated[
        str,
        Meta(
            description="The same in words, and what to do.",
            examples=["example.com has no SPF record: publish one that permits your mail server"],
        ),
    ]
    field: Annotated[
        str | UnsetType,
        Meta(
            description="The member of the request that it is about. Absent: the message as a whole.",
            examples=["from"],
        ),
    ] = UNSET


Checks = Annotated[
    tuple[SubmitCheck, ...] | UnsetType,
    Meta(
        description="What is noticed about the message, the most severe first. Absent: it was not checked "
        "(the query's `check`)."
    ),
]
