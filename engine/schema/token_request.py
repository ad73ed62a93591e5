"""A request for an OAuth2 token that failed, as errors show it."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from engine.schema.fields import Response


class TokenRequest(Response, frozen=True, kw_only=True):
    """What was asked of a token endpoint, and what it answered. Secrets are masked."""

    url: Annotated[str, Meta(description="The token endpoint.", examples=["https://oauth2.googleapis.com/token"])]
    method: Annotated[str, Meta(description="HTTP method, in lower case.")] = "post"
    grant: Annotated[str, Meta(description="The grant type.", examples=["refresh_token"])]
    provider: Annotated[str, Meta(description="The app's provider.", examples=["gmail"])]
    status: Annotated[int | UnsetType, Meta(description="HTTP status of the answer. Absent: there was none.")] = UNSET
    client_id: Annotated[str, Meta(description="The app's client id.")] = ""
    client_secret: Annotated[str | UnsetType, Meta(description="Masked. Absent: the app has none.")] = UNSET
    scopes: Annotated[tuple[str, ...], Meta(description="Scopes the app asks for.")] = ()
    code: Annotated[
        str | UnsetType, Meta(description="The provider's error code, if it gave one.", examples=["invalid_grant"])
    ] = UNSET
    response: Annotated[str | UnsetType, Meta(description="The beginning of the answer. Absent: there was none.")] = (
        UNSET
    )
