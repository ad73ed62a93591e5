"""The answer to a request that failed: one shape for every failure."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from engine.schema.fields import Response


class FieldProblem(Response, frozen=True, kw_only=True):
    """One member of the request that is wrong."""

    message: Annotated[str, Meta(description="What is wrong.", examples=['"to[0].address" is required'])]
    key: Annotated[str, Meta(description="Its name, the last part of `path`.", examples=["address"])]
    path: Annotated[str, Meta(description="Where it is in the request.", examples=["to[0].address"])]


class ServerRefusal(Response, frozen=True, kw_only=True):
    """A mail server's refusal."""

    response: Annotated[str, Meta(description="Its words.", examples=["NO [CANNOT] Invalid mailbox name"])]


class ProblemDocument(Response, frozen=True, kw_only=True):
    """Why a request failed."""

    status_code: Annotated[int, Meta(description="The HTTP status.", examples=[400])]
    error: Annotated[str, Meta(description="The HTTP status in words.", examples=["Bad Request"])]
    message: Annotated[str, Meta(description="What is wrong.", examples=["Invalid input"])]
    code: Annotated[str | UnsetType, Meta(description="Short code, where a program may want to tell cases apart.")] = (
        UNSET
    )
    state: Annotated[str | UnsetType, Meta(description="The account's state, where that is the reason.")] = UNSET
    requested_scope: Annotated[str | UnsetType, Meta(description="The scope the token lacks.", examples=["api"])] = (
        UNSET
    )
    last: Annotated[
        int | UnsetType, Meta(description="The newest number there is, where a cursor is above it.", examples=[4711])
    ] = UNSET
    reason: Annotated[
        str | UnsetType, Meta(description="Why the body is not JSON.", examples=["trailing comma in object"])
    ] = UNSET
    line: Annotated[int | UnsetType, Meta(description="The line it is not JSON at, from 1.", examples=[3])] = UNSET
    column: Annotated[int | UnsetType, Meta(description="The character in that line, from 1.", examples=[14])] = UNSET
    ttl: Annotated[
        int | UnsetType, Meta(description="Seconds to wait, where too many bad tokens came from here.", examples=[60])
    ] = UNSET
    path: Annotated[str | UnsetType, Meta(description="The folder that was not found.", examples=["Archive"])] = UNSET
    details: Annotated[
        ServerRefusal | UnsetType, Meta(description="What the mail server said, where it refused to do it.")
    ] = UNSET
    fields: Annotated[
        tuple[FieldProblem, ...] | UnsetType,
        Meta(description="Every wrong member, where the request is what is wrong."),
    ] = UNSET
