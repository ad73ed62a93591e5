"""Following accounts' states as they change."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from engine.schema.fields import Filled256, Request


class ChangesQuery(Request, frozen=True, kw_only=True):
    """Query of `GET /v1/changes`."""

    account: Annotated[Filled256 | None, Meta(description="Only changes of this account. Absent: of all accounts.")] = (
        None
    )
