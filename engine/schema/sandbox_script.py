"""The script of a sandbox account: what its provider does next, mail that arrives, and time that passes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from engine.schema.command_headers import CommandHeaders
from engine.schema.fields import Address, Check, Email, Filled256, Line, Request, Response

MAX_STEPS = 100
MAX_MAIL = 20
LONGEST_TIME = 365 * 86_400
"""Seconds by which time can be moved at once."""

StepServer = Literal["smtp", "imap"]
StepStage = Literal["connect", "greeting", "login", "mail", "rcpt", "data", "dot"]
StepFault = Literal["refused", "unknownHost", "timeout", "certificate", "cut", "keepAndCut", "silence"]
ArrivingKind = Literal["reply", "autoReply", "outOfOffice", "bounce", "softBounce", "delay", "complaint"]

_AT_CONNECT = ("refused", "unknownHost", "timeout", "certificate")
_ONE_STAGE = {**dict.fromkeys(_AT_CONNECT, "connect"), "keepAndCut": "dot"}
_REPLY = re.compile(r"[45][0-9]{2} [ -~]+")
_ACCEPTED = re.compile(r"2[0-9]{2} [ -~]+")
_NO = re.compile(r"NO [ -~]+")

_SERVER = "The account's server: `smtp` sends, `imap` is the mailbox."
_STAGE = (
    "When it acts: as the connection is opened (`connect`), before the greeting (`greeting`), at the login (`login`), "
    "at MAIL, RCPT or DATA, or at the end of the message (`dot`). IMAP has the first three."
)
_FAULT = (
    "What goes wrong instead of a reply. At `connect`: `refused`, `unknownHost`, `timeout`, `certificate` (one that is "
    "not trusted). Later: `cut` (the connection ends; the message is not kept), `silence` (nothing comes until the "
    "engine gives up, after the time limits of `[smtp]`; `advance` makes that short). At `dot`: `keepAndCut` (the "
    "message arrives, then the connection ends: a doubt)."
)
_TIMES = "How many attempts it acts on. `null`: all, until it is removed."
_RECIPIENT = "Only for this recipient, at RCPT, DATA or the end of the message. Absent: for all."


class StepGiven(Request, frozen=True, kw_only=True):
    """What the provider does once: a `reply` or a `fault`."""

    EXAMPLE = {"stage": "rcpt", "reply": "451 4.7.1 Greylisted, try again later", "times": 2}

    server: Annotated[StepServer, Meta(description=_SERVER)] = "smtp"
    stage: Annotated[
        StepStage | UnsetType,
        Meta(description=f"{_STAGE} Absent: where a `fault` has only one stage, that one; else it is required."),
    ] = UNSET
    reply: Annotated[
        Annotated[Line, Meta(max_length=500)] | UnsetType,
        Meta(
            description="The reply, code and text in one line of ASCII: 4xx or 5xx, at the end of the message 2xx, too "
            "(it is then accepted). 421 ends the connection. For the IMAP login, `NO` and a text. Absent: a `fault`.",
            examples=["451 4.7.1 Greylisted, try again later"],
        ),
    ] = UNSET
    fault: Annotated[StepFault | UnsetType, Meta(description=f"{_FAULT} Absent: a `reply`.")] = UNSET
    recipient: Annotated[Email | UnsetType, Meta(description=_RECIPIENT)] = UNSET
    times: Annotated[Annotated[int, Meta(ge=1, le=1000)] | None, Meta(description=_TIMES)] = 1

    @property
    def at(self) -> StepStage:
        """The stage, given or implied."""
        if self.stage is not UNSET:
            return self.stage
        assert self.fault is not UNSET
        return _ONE_STAGE[self.fault]  # type: ignore[return-value]

    @staticmethod
    def wrong_together(get: Callable[[str], Any]) -> Iterator[tuple[str, str]]:
        """One of `reply` and `fault`, at a stage that has it."""
        reply, fault, stage, server = get("reply"), get("fault"), get("stage"), get("server")
        if reply is UNSET and fault is UNSET:
            yield "reply", "is required, unless there is a fault"
            return
        if reply is not UNSET and fault is not UNSET:
            yield "fault", "is not allowed beside reply"
            return
        if stage is UNSET:
            stage = _ONE_STAGE.get(fault) if isinstance(fault, str) else None
            if stage is None:
                yield "stage", "is required"
                return
        if server == "imap" and stage not in ("connect", "greeting", "login"):
            yield "stage", "must be connect, greeting or login at the imap server"
        if get("recipient") is not UNSET and stage not in ("rcpt", "data", "dot"):
            yield "recipient", "is not allowed before stage rcpt"
        if isinstance(fault, str):
            if (fault in _AT_CONNECT) != (stage == "connect") or (fault == "keepAndCut" and stage != "dot"):
                yield "fault", f"cannot be {fault} at stage {stage}"
        elif stage == "connect":
            yield "reply", "is not allowed at stage connect: there is nobody yet who could reply"
        elif server == "imap" and stage == "greeting":
            yield "reply", "is not allowed at the greeting of the imap server"
        elif isinstance(reply, str):
            if server == "imap":
                if not _NO.fullmatch(reply):
                    yield "reply", "must be NO and a text at the imap server, in ASCII"
            elif not (_REPLY.fullmatch(reply) or (stage == "dot" and _ACCEPTED.fullmatch(reply))):
                codes = "2xx, 4xx or 5xx" if stage == "dot" else "4xx or 5xx"
                yield "reply", f"must be a code ({codes}), a space and a text in ASCII"


class ArrivingGiven(Request, frozen=True, kw_only=True):
    """Mail that arrives in the account's mailbox and answers a message that the account sent."""

    EXAMPLE = {"kind": "bounce", "queueId": "19AB5C2D37F400A1"}

    kind: Annotated[
        ArrivingKind,
        Meta(
            description="A person's `reply`, an `autoReply`, an `outOfOffice` reply, a delivery report that it failed "
            "(`bounce`, `softBounce`) or takes longer (`delay`), a `complaint` (a feedback report)."
        ),
    ]
    queue_id: Annotated[Filled256, Meta(description="The message that is answered.")]
    recipient: Annotated[
        Email | UnsetType, Meta(description="The recipient who answers. Absent: the first of the message.")
    ] = UNSET
    text: Annotated[
        Annotated[str, Meta(max_length=20_000, extra={"check": Check.TEXT})],
        Meta(description="What it says. Absent or empty: something usual."),
    ] = ""
    response: Annotated[
        Annotated[Line, Meta(max_length=500)],
        Meta(
            description="For a delivery report, what the recipient's server replied. Absent or empty: something usual.",
            examples=["550 5.7.1 Message rejected as spam"],
        ),
    ] = ""

    @staticmethod
    def wrong_together(get: Callable[[str], Any]) -> Iterator[tuple[str, str]]:
        """Only a delivery report has a `response`."""
        response, kind = get("response"), get("kind")
        if not isinstance(response, str) or not response:
            return
        if kind not in ("bounce", "softBounce", "delay"):
            yield "response", "is only for kind bounce, softBounce and delay"
        elif not _REPLY.fullmatch(response):
            yield "response", "must be a code (4xx or 5xx), a space and a text in ASCII"


class ScriptGiven(Request, frozen=True, kw_only=True):
    """What is to happen to a sandbox account."""

    EXAMPLE = {
        "account": "example",
        "steps": [{"stage": "rcpt", "reply": "451 4.7.1 Greylisted, try again later", "times": 2}],
        "advance": 259_200,
    }

    account: Annotated[Filled256, Meta(description="The account, one with `sandbox`.", examples=["example"])]
    steps: Annotated[
        Annotated[tuple[StepGiven, ...], Meta(max_length=MAX_STEPS)],
        Meta(
            description="What the provider does next, behind the steps from before. At each stage the first step acts "
            f"that is for this stage and recipient. An account has at most {MAX_STEPS}. Absent: none."
        ),
    ] = ()
    replace: Annotated[bool, Meta(description="`true`: forget the steps from before.")] = False
    mail: Annotated[
        Annotated[tuple[ArrivingGiven, ...], Meta(max_length=MAX_MAIL)],
        Meta(description="Mail that arrives now. Absent: none."),
    ] = ()
    advance: Annotated[
        Annotated[int, Meta(ge=0, le=LONGEST_TIME)],
        Meta(
            description="So many seconds pass for this account, beside those that have still to. Whatever falls due "
            "meanwhile happens one after another, at the intervals of the schedule, each attempt as fast as it can.",
            examples=[259_200],
        ),
    ] = 0


class ScriptHeaders(CommandHeaders, frozen=True, kw_only=True):
    """Request headers of a script."""

    idempotency_key: Annotated[
        Annotated[str, Meta(max_length=1024)] | None,
        Meta(
            description="Your own name for this request. The same request with the same key changes nothing again; "
            "another one with that key is a 409. The engine remembers the last 100 of an account. Absent: it is "
            "a new request.",
            examples=["setup-4711"],
        ),
    ] = msgspec.field(name="idempotency-key", default=None)


_Wait = Annotated[
    Annotated[int, Meta(ge=0, le=60)],
    Meta(
        description="The maximum number of seconds to wait until no more time has to pass. More than 50 count as 50. A "
        "request that waits counts as a stream."
    ),
]
_Account = Annotated[
    Filled256 | None, Meta(description="The account. Absent: that of the token; required if it is for all accounts.")
]


class ScriptChangeQuery(Request, frozen=True, kw_only=True):
    """Query of `POST /v1/sandbox/script`."""

    wait: _Wait = 0


class ScriptQuery(Request, frozen=True, kw_only=True):
    """Query of `GET /v1/sandbox/script`."""

    EXAMPLE = {"account": "example"}

    account: _Account = None
    wait: _Wait = 0


class ScriptRemoveQuery(Request, frozen=True, kw_only=True):
    """Query of `DELETE /v1/sandbox/script`."""

    EXAMPLE = {"account": "example"}

    account: _Account = None


class StepShown(Response, frozen=True, kw_only=True):
    """A step that has still to act."""

    id: Annotated[str, Meta(description="Its id.", examples=["k3v9x2ab"])]
    server: Annotated[StepServer, Meta(description=_SERVER)]
    stage: Annotated[StepStage, Meta(description=_STAGE)]
    reply: Annotated[str | UnsetType, Meta(description="The reply.")] = UNSET
    fault: Annotated[StepFault | UnsetType, Meta(description=_FAULT)] = UNSET
    recipient: Annotated[Address | UnsetType, Meta(description=_RECIPIENT)] = UNSET
    times: Annotated[int | None, Meta(description="On how many more attempts it acts. `null`: on all.", examples=[2])]


class TimeShown(Response, frozen=True, kw_only=True):
    """How far the account's time was moved."""

    ahead: Annotated[float, Meta(description="Seconds that have still to pass.", examples=[0.0])]
    passed: Annotated[float, Meta(description="Seconds that have passed so, in all.", examples=[259200.0])]


class ScriptShown(Response, frozen=True, kw_only=True):
    """What happens next to a sandbox account."""

    EXAMPLE = {
        "account": "example",
        "steps": [
            {
                "id": "k3v9x2ab",
                "server": "smtp",
                "stage": "rcpt",
                "reply": "451 4.7.1 Greylisted, try again later",
                "times": 2,
            }
        ],
        "time": {"ahead": 0.0, "passed": 259200.0},
    }

    account: Annotated[str, Meta(description="The account.", examples=["example"])]
    steps: Annotated[tuple[StepShown, ...], Meta(description="The steps that have still to act, in their order.")]
    time: Annotated[TimeShown, Meta(description="How far its time was moved.")]


class ScriptRemoved(Response, frozen=True, kw_only=True):
    """How many steps were removed."""

    account: Annotated[str, Meta(description="The account.", examples=["example"])]
    deleted: Annotated[int, Meta(description="How many there were.", examples=[1])]
