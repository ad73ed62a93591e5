"""The mail that the sandbox has caught: the list, one message, its source, its files."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from typing import Any

from msgspec import UNSET
from quart import Response

from engine.accounts import caught_mail
from engine.accounts.caught_mail import CaughtMessage
from engine.api.context import Context
from engine.errors import Problem
from engine.http import paging
from engine.http.account_tokens import Access
from engine.http.audit_entries import Change
from engine.http.file_answers import download
from engine.http.operation import operation
from engine.isotime import iso
from engine.mail.web_safe import drop, keep
from engine.schema.sandbox import (
    CaughtAttachment,
    CaughtDetails,
    CaughtEntry,
    CaughtFileId,
    CaughtId,
    CaughtList,
    CaughtListQuery,
    CaughtQuery,
    CaughtRemoved,
)

_TAGS = ("Sandbox",)
_OFF = "The sandbox is switched off (`[sandbox]` of config.toml)."
_GONE = "There is no such message: the engine keeps only the newest, and none from before its last start."


@operation("GET", "/v1/sandbox/messages", access=Access.ALL_ACCOUNTS, scope="api", tags=_TAGS, errors={404: _OFF})
async def listing(context: Context, query: CaughtListQuery) -> CaughtList:
    """List caught messages.

    Everything that sandbox accounts have sent, to sandbox addresses and to all others, newest first.
    """
    caught = [
        each for each in _caught(context).values() if query.account is None or each.envelope.account == query.account
    ][::-1]
    shown = tuple(CaughtEntry(**_entry(each)) for each in paging.cut(caught, query))
    return CaughtList(**paging.numbers(len(caught), query), messages=shown)


@operation(
    "DELETE",
    "/v1/sandbox/messages",
    access=Access.ALL_ACCOUNTS,
    scope="api",
    tags=_TAGS,
    errors={404: _OFF},
    change=Change("sandbox.empty", lambda path, answer: str(answer.deleted) if answer.deleted else None),
)
async def remove(context: Context) -> CaughtRemoved:
    """Remove all caught messages.

    Mailboxes of sandbox accounts keep what was delivered to them.
    """
    if context.access.sandbox is None:
        raise _switched_off()
    return CaughtRemoved(deleted=context.access.sandbox.forget_caught())


@operation(
    "GET",
    "/v1/sandbox/messages/{caught}",
    access=Access.ALL_ACCOUNTS,
    scope="api",
    tags=_TAGS,
    errors={404: f"{_GONE} {_OFF}"},
)
async def read(context: Context, caught: CaughtId, query: CaughtQuery) -> CaughtDetails:
    """Get a caught message."""
    found = _find(context, caught)
    in_thread = context.world.in_thread
    text = await in_thread(caught_mail.texts_of, found.raw, keep if query.remote_images == "keep" else drop)
    files = await in_thread(caught_mail.files_of, found.raw)
    return CaughtDetails(
        **_entry(found),
        headers={name: tuple(values) for name, values in caught_mail.header_of(found.raw).items()},
        plain=text.plain,
        html=text.html,
        has_html=text.has_html,
        attachments=tuple(
            CaughtAttachment(
                id=each.part, filename=each.name, content_type=each.kind, size=len(each.content), inline=each.inline
            )
            for each in files
        ),
    )


@operation(
    "GET",
    "/v1/sandbox/messages/{caught}/source",
    access=Access.ALL_ACCOUNTS,
    scope="api",
    tags=_TAGS,
    media="message/rfc822",
    errors={404: f"{_GONE} {_OFF}"},
)
async def source(context: Context, caught: CaughtId) -> Response:
    """Download the source of a caught message."""
    found = _find(context, caught)
    return _download(found.raw, "message/rfc822", "message.eml")


@operation(
    "GET",
    "/v1/sandbox/messages/{caught}/attachments/{file}",
    access=Access.ALL_ACCOUNTS,
    scope="api",
    tags=_TAGS,
    media="application/octet-stream",
    errors={404: f"{_GONE} Or it has no such file. {_OFF}"},
)
async def attachment(context: Context, caught: CaughtId, file: CaughtFileId) -> Response:
    """Download a file of a caught message."""
    found = _find(context, caught)
    for each in await context.world.in_thread(caught_mail.files_of, found.raw):
        if each.part == file:
            return _download(each.content, each.kind, each.name)
    raise Problem(404, "The message has no such file")


def _caught(context: Context) -> Mapping[str, CaughtMessage]:
    if context.access.sandbox is None:
        raise _switched_off()
    return context.access.sandbox.caught


def _switched_off() -> Problem:
    return Problem(404, "The sandbox is switched off")


def _find(context: Context, name: str) -> CaughtMessage:
    found = _caught(context).get(name)
    if found is None:
        raise Problem(404, "There is no such message")
    return found


def _entry(caught: CaughtMessage) -> dict[str, Any]:
    header, envelope = caught_mail.header_of(caught.raw), caught.envelope
    return {
        "id": caught.id,
        "date": iso(caught.time),
        "sender": envelope.sender,
        "recipients": envelope.recipients,
        "account": envelope.account or UNSET,
        "user": envelope.user or UNSET,
        "subject": next(iter(header.get("subject", ())), ""),
        "author": next(iter(header.get("from", ())), ""),
        "size": len(caught.raw),
    }


def _download(data: bytes, kind: str, name: str) -> Response:
    return download(_pieces(data), kind, name, size=len(data))


async def _pieces(data: bytes) -> AsyncGenerator[bytes]:
    yield data
