"""The delivery reports that a submission asks for (RFC 3461)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from engine.schema.fields import SINGLE, Check, Email, Line256, Request

Notify = Literal["never", "success", "failure", "delay"]


class DsnWanted(Request, frozen=True, kw_only=True):
    """The delivery reports to request (RFC 3461), if the account's server offers them.

    A server that does not offer them sends reports as it pleases.
    """

    id: Annotated[
        Annotated[Line256, Meta(extra={"check": Check.ENVELOPE_ID})] | UnsetType,
        Meta(
            description="Comes back in the reports as their `Original-Envelope-Id`: printable ASCII, at most 100 "
            "characters with `+`, `=` and blanks counted as three. Absent: the queue id.",
            examples=["order-4711"],
        ),
    ] = UNSET
    return_: Annotated[
        Literal["headers", "full"],
        Meta(description="How much of the message a failure report returns.", examples=["headers"]),
    ] = msgspec.field(name="return")
    notify: Annotated[
        tuple[Notify, ...],
        SINGLE,
        Meta(
            max_length=4,
            description="When to report; `never` stands alone. Absent or empty: the servers decide, and mostly report "
            "failures.",
            examples=[["failure", "delay"]],
        ),
    ] = ()
    recipient: Annotated[
        Email | UnsetType,
        Meta(description="The address that reports name as the original recipient. Absent: none."),
    ] = UNSET

    @staticmethod
    def wrong_together(get: Callable[[str], Any]) -> Iterator[tuple[str, str]]:
        """`never` and a reason to report contradict each other."""
        notify = get("notify")
        if isinstance(notify, tuple) and "never" in notify and len(set(notify)) > 1:
            yield "notify", "must not have anything beside never"


DsnAsked = Annotated[
    DsnWanted | UnsetType, Meta(description="The delivery reports to request. Absent: none in particular.")
]
