"""The answer to a failed request: one shape for every failure."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from engine.schema.fields import Response


class FieldProblem(Response, frozen=True, kw_only=True):
    """One wrong member of the request."""

    message: Annotated[str, Meta(description="What is wrong with it.", examples=['"to[0].address" is required'])]
    key: Annotated[str, Meta(description="The member's name, the last part of `path`.", examples=["address"])]
    path: Annotated[str, Meta(description="The member's place in the request.", examples=["to[0].address"])]


class ServerRefusal(Response, frozen=True, kw_only=True):
    """A mail server's refusal."""

    response: Annotated[str, Meta(description="Its words.", examples=["NO [CANNOT] Invalid mailbox name"])]


class RequiredPermission(Response, frozen=True, kw_only=True):
    """What an operation needs of a token with permissions."""

    action: Annotated[str, Meta(description="The action.", examples=["write"])]
    group: Annotated[str, Meta(description="The group; `admin`: no permissions allow it.", examples=["message"])]


class ProblemDocument(Response, frozen=True, kw_only=True):
    """Why a request failed."""

    status_code: Annotated[int, Meta(description="The HTTP status.", examples=[400])]
    error: Annotated[str, Meta(description="The reason phrase of that status.", examples=["Bad Request"])]
    message: Annotated[str, Meta(description="What is wrong.", examples=["Invalid input"])]
    code: Annotated[
        str | UnsetType,
        Meta(description="A short code by which a program can tell cases apart.", examples=["TooMany"]),
    ] = UNSET
    state: Annotated[
        str | UnsetType, Meta(description="The account's state, if that is the reason.", examples=["connectError"])
    ] = UNSET
    existing_account: Annotated[
        str | UnsetType, Meta(description="The account that has this mailbox already.", examples=["example"])
    ] = UNSET
    requested_scope: Annotated[
        str | UnsetType, Meta(description="The scope that the token lacks.", examples=["api"])
    ] = UNSET
    required_permission: Annotated[
        RequiredPermission | UnsetType, Meta(description="What the permissions of the token do not allow.")
    ] = UNSET
    remote_address: Annotated[
        str | UnsetType | None,
        Meta(description="Your address, where the token may not be used from there.", examples=["192.0.2.7"]),
    ] = UNSET
    last: Annotated[
        int | UnsetType,
        Meta(description="The number of the newest event, if a cursor is above it.", examples=[4711]),
    ] = UNSET
    reason: Annotated[
        str | UnsetType, Meta(description="Why the body is not JSON.", examples=["trailing comma in object"])
    ] = UNSET
    line: Annotated[int | UnsetType, Meta(description="The line of the JSON error, counted from 1.", examples=[3])] = (
        UNSET
    )
    column: Annotated[
        int | UnsetType,
        Meta(description="The character of the JSON error in that line, counted from 1.", examples=[14]),
    ] = UNSET
    ttl: Annotated[
        int | UnsetType,
        Meta(
            description="Seconds to wait: the token's rate limit is reached, or too many bad tokens came from you.",
            examples=[60],
        ),
    ] = UNSET
    path: Annotated[str | UnsetType, Meta(description="The folder that was not found.", examples=["Archive"])] = UNSET
    details: Annotated[ServerRefusal | UnsetType, Meta(description="What the mail server said when it refused.")] = (
        UNSET
    )
    fields: Annotated[
        tuple[FieldProblem, ...] | UnsetType,
        Meta(description="Every wrong member of the request."),
    ] = UNSET
