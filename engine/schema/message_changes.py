"""Changes of one message: its flags and labels, moving, deleting."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from engine.schema.fields import SINGLE, Check, Line, MailboxPath, Request, Response

_Flags = Annotated[
    tuple[Annotated[str, Meta(min_length=1, max_length=128, extra={"check": Check.FLAG})], ...],
    SINGLE,
    Meta(max_length=100),
]
_Labels = Annotated[
    tuple[Annotated[Line, Meta(min_length=1, max_length=128)], ...],
    SINGLE,
    Meta(max_length=100),
]
_Did = Annotated[
    bool | UnsetType,
    Meta(description="Whether all messages are so now. Absent: not requested.", examples=[True]),
]


class FlagUpdate(Request, frozen=True, kw_only=True):
    """Which flags to change."""

    EXAMPLE = {"add": ["\\Seen"]}

    add: Annotated[_Flags | UnsetType, Meta(description="The flags to set. Absent: none.", examples=[["\\Seen"]])] = (
        UNSET
    )
    delete: Annotated[_Flags | UnsetType, Meta(description="The flags to remove. Absent: none.")] = UNSET
    set: Annotated[
        _Flags | UnsetType,
        Meta(description="The complete set of flags; `add` and `delete` then have no effect. Absent: they have."),
    ] = UNSET


class LabelUpdate(Request, frozen=True, kw_only=True):
    """Which of Gmail's labels to change."""

    add: Annotated[
        _Labels | UnsetType, Meta(description="The labels to set. Absent: none.", examples=[["Important"]])
    ] = UNSET
    delete: Annotated[_Labels | UnsetType, Meta(description="The labels to remove. Absent: none.")] = UNSET


class MessageUpdate(Request, frozen=True, kw_only=True):
    """What to change in a message."""

    EXAMPLE = {"flags": {"add": ["\\Seen"]}}

    flags: Annotated[FlagUpdate | UnsetType, Meta(description="The flags to change. Absent: none.")] = UNSET
    labels: Annotated[
        LabelUpdate | UnsetType,
        Meta(description="The labels to change; only Gmail has any, elsewhere this makes no difference. Absent: none."),
    ] = UNSET


class MarksChanged(Response, frozen=True, kw_only=True):
    """Whether the change was made. `false`: there is no such message, or the server does not keep all of these
    flags."""

    add: _Did = UNSET
    delete: _Did = UNSET
    set: _Did = UNSET


class MessageChanged(Response, frozen=True, kw_only=True):
    """The result of a change."""

    flags: Annotated[MarksChanged | UnsetType, Meta(description="The flags. Absent: no change was requested.")] = UNSET
    labels: Annotated[
        MarksChanged | UnsetType, Meta(description="The labels. Absent: no change was requested, or it is not Gmail.")
    ] = UNSET


class MessageMove(Request, frozen=True, kw_only=True):
    """Where to move a message."""

    EXAMPLE = {"path": "Archive"}

    path: Annotated[
        MailboxPath, Meta(description="The path of the folder, or its special use (`\\Archive`).", examples=["Archive"])
    ]
    source: Annotated[MailboxPath | UnsetType, Meta(description="Makes no difference here, present or absent.")] = UNSET


class MessageMoved(Response, frozen=True, kw_only=True):
    """Where a message is now."""

    path: Annotated[str, Meta(description="The path of the folder.", examples=["Archive"])]
    id: Annotated[
        str | UnsetType,
        Meta(description="The message's id there. Absent: the server does not say.", examples=["AAAABQAAAAE"]),
    ] = UNSET
    uid: Annotated[
        int | UnsetType, Meta(description="Its UID there. Absent: the server does not say.", examples=[1])
    ] = UNSET


class DeleteQuery(Request, frozen=True, kw_only=True):
    """How to delete a message."""

    force: Annotated[
        bool,
        Meta(
            description="Whether to remove the message for good, wherever it is. Absent: it is moved to the trash, "
            "unless it is there already or in the junk folder, or there is no trash."
        ),
    ] = False


class MovedToTrash(Response, frozen=True, kw_only=True):
    """Where a deleted message is now."""

    destination: Annotated[str, Meta(description="The path of the trash folder.", examples=["Trash"])]
    message: Annotated[
        str | UnsetType,
        Meta(description="The message's id there. Absent: the server does not say.", examples=["AAAABgAAAAE"]),
    ] = UNSET


class MessageRemoved(Response, frozen=True, kw_only=True):
    """The result of deleting a message."""

    deleted: Annotated[bool, Meta(description="Whether it is gone for good. `false`: it was moved to the trash.")]
    moved: Annotated[MovedToTrash | UnsetType, Meta(description="Where it is now. Absent: it is gone for good.")] = (
        UNSET
    )
