"""One message: its details, its text, its source, its files."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType
from quart import Response, request

from engine.accounts import message_ids, message_text
from engine.accounts.bounce_reports import told_before
from engine.accounts.leased_connections import Turns
from engine.accounts.message_download import File, content_in_turns, file_of, find_part
from engine.accounts.message_ids import Place
from engine.accounts.message_lookup import Locator, no_message
from engine.accounts.message_summary import TextParts, details, protection
from engine.accounts.message_text import GLANCES, Wanted, read_text
from engine.accounts.requested_changes import Marks
from engine.api.context import Context
from engine.api.mailbox_access import NOT_CONNECTED, TOO_LATE, Mailbox, changer, leased, leased_in_turns, read_id
from engine.edge.client_disconnect import carry_through
from engine.errors import Problem
from engine.http.account_tokens import Access
from engine.http.file_answers import download, span_of
from engine.http.operation import Encoded, operation
from engine.http.problems import NEWLINE
from engine.http.request_lifetime import until_answered
from engine.imap.fetched import Fetched
from engine.imap.session import CommandRefused, ImapSession
from engine.imap.structure import Structure
from engine.mail.decode import parameter
from engine.mail.header_reading import fields
from engine.mail.web_safe import Remote, by_way_of, drop, keep
from engine.schema.command_headers import CommandHeaders
from engine.schema.fields import AccountId
from engine.schema.message import (
    AttachmentId,
    MessageDetails,
    MessageId,
    MessageQuery,
    TextId,
    TextQuery,
    TextShown,
)
from engine.store.mailboxes import MailboxRow

_TAGS = ("Message",)
_SEEN = "\\Seen"
_ERRORS = {404: "There is no such message (`MessageNotFound`).", 503: NOT_CONNECTED, 504: TOO_LATE}
SMALL_BYTES = 128 * 1024
"""Maximum octets of a file that is sent as a whole."""


@operation(
    "GET",
    "/v1/account/{account}/message/{message}",
    access=Access.PATH,
    scope="api",
    group="message",
    tags=_TAGS,
    errors=_ERRORS,
)
async def message(
    context: Context, account: AccountId, message: MessageId, query: MessageQuery, headers: CommandHeaders
) -> Encoded[MessageDetails]:
    """Get a message.

    The answer includes the text if `textType` or `webSafeHtml` ask for it.
    """
    place = read_id(message_ids.read_message, message, "message", no_message())
    unseen = () if _text_wanted(query) is UNSET else GLANCES
    async with leased(context, account, headers, where=place) as mailbox:
        row, one = await mailbox.locator.describe(mailbox.session, place, "HEADER", unseen)
        if query.mark_as_seen:
            one = await _mark_as_seen(context, mailbox, row, one)
        shown = {**details(one, row.id, row.path, row.special_use), "headers": fields(one.header)}
        if came_back := told_before(context.store.reader, mailbox.account.id, shown.get("messageId", "")):
            shown["bounces"] = came_back
        if protected := protection(one.structure):
            shown["protection"] = protected
        await _add_text(context, mailbox, one, query, shown["text"])
    return Encoded(msgspec.json.encode(shown) + NEWLINE)


@operation(
    "GET",
    "/v1/account/{account}/text/{text}",
    access=Access.PATH,
    scope="api",
    group="message",
    tags=_TAGS,
    errors=_ERRORS,
)
async def text(
    context: Context, account: AccountId, text: TextId, query: TextQuery, headers: CommandHeaders
) -> Encoded[TextShown]:
    """Get the text of a message."""
    place = read_id(message_ids.read_text, text, "text", no_message())
    kinds = {"plain": query.text_type in ("plain", "*"), "html": query.text_type in ("html", "*")}
    if query.web_safe_html:
        kinds = {"plain": True, "html": True}
    async with leased(context, account, headers, where=place) as mailbox:
        session = mailbox.session
        _, one = await mailbox.locator.fetch(session, place, ("UID", "RFC822.SIZE", "BODYSTRUCTURE"))
        parts = TextParts(_only(one.structure, {*place.plain, *place.html}))
        shown = await read_text(session, one, Wanted(**kinds, most=_most(query.max_bytes)), context.world, parts)
        if query.web_safe_html:
            await message_text.made_safe(shown, context.world, _remote(query))
            if html := shown.get("html"):
                shown["html"] = await message_text.with_own_pictures(session, one, html, context.world)
    return Encoded(msgspec.json.encode(shown) + NEWLINE)


@operation(
    "GET",
    "/v1/account/{account}/message/{message}/source",
    access=Access.PATH,
    scope="api",
    group="message",
    tags=_TAGS,
    media="message/rfc822",
    errors={**_ERRORS, 416: "`Content-Range` says how many there are."},
)
async def source(context: Context, account: AccountId, message: MessageId, headers: CommandHeaders) -> Response:
    """Download the source of a message.

    A `Range` of bytes is answered with 206 and that part.
    """
    place = read_id(message_ids.read_message, message, "message", no_message())
    async with AsyncExitStack() as stack:
        mailbox, turns = await stack.enter_async_context(leased_in_turns(context, account, headers, where=place))
        _, one = await mailbox.locator.fetch(mailbox.session, place, ("UID", "RFC822.SIZE"))
        file = File("", "message/rfc822", "message.eml", one.size)
        return await _answered(stack, turns, mailbox.locator, place, file, headers)


@operation(
    "GET",
    "/v1/account/{account}/attachment/{attachment}",
    access=Access.PATH,
    scope="api",
    group="message",
    tags=_TAGS,
    media="application/octet-stream",
    errors={**_ERRORS, 404: "There is no such file (`AttachmentNotFound`).", 416: "`Content-Range` says how many."},
)
async def attachment(
    context: Context, account: AccountId, attachment: AttachmentId, headers: CommandHeaders
) -> Response:
    """Download an attached file.

    A `Range` of bytes is answered with 206 and that part if the size of the file is known in advance.
    """
    missing = Problem(404, "Requested attachment was not found", code="AttachmentNotFound")
    place = read_id(message_ids.read_attachment, attachment, "attachment", missing)
    async with AsyncExitStack() as stack:
        mailbox, turns = await stack.enter_async_context(leased_in_turns(context, account, headers, where=place))
        _, one = await mailbox.locator.fetch(mailbox.session, place, ("UID", "RFC822.SIZE", "BODYSTRUCTURE"))
        part = find_part(one, place.part)
        if part is None:
            raise missing
        file = await file_of(mailbox.session, one.uid, part, sized="Range" in request.headers)
        charset = parameter(part.parameters, "charset")
        return await _answered(stack, turns, mailbox.locator, place, file, headers, charset)


async def _answered(
    stack: AsyncExitStack,
    turns: Turns,
    locator: Locator,
    place: Place,
    file: File,
    headers: CommandHeaders,
    charset: str = "",
) -> Response:
    """An answer that streams a file of the message at `place`; `stack` is closed once it has ended."""

    async def reopen(session: ImapSession) -> None:
        await locator.fetch(session, place, ("UID", "RFC822.SIZE"))

    span = span_of(request.headers.get("Range"), file.size)
    part = (span.first, span.end) if span is not None else ()
    pieces = content_in_turns(turns, reopen, place.uid, file, headers.seconds, *part)
    stack.push_async_callback(pieces.aclose)
    # Get the first piece before the answer begins, since the server may still refuse.
    first = await anext(pieces, b"")
    second = await anext(pieces, None) if len(first) < SMALL_BYTES else b""
    if second is None and span is None:
        return download(_of(first), file.kind, file.name, size=len(first), charset=charset)
    until_answered(request).push_async_callback(stack.pop_all().aclose)
    size = file.size if file.sure or span is not None else None
    return download(_of(first, second or b"", pieces), file.kind, file.name, size=size, span=span, charset=charset)


async def _of(first: bytes, second: bytes = b"", rest: AsyncGenerator[bytes] | None = None) -> AsyncGenerator[bytes]:
    yield first
    yield second
    if rest is not None:
        async for piece in rest:
            yield piece


async def _mark_as_seen(context: Context, mailbox: Mailbox, row: MailboxRow, one: Fetched) -> Fetched:
    """Mark a message as read, if the server permits it."""
    if one.flags is None or _SEEN in one.flags:
        return one
    try:
        await mailbox.session.enter(row.path, read_only=False)
        await carry_through(changer(context, mailbox).mark(row, [one.uid], Marks(add=[_SEEN]), Marks()))
    except (CommandRefused, Problem):
        return one
    return msgspec.structs.replace(one, flags=one.flags | {_SEEN})


async def _add_text(
    context: Context, mailbox: Mailbox, one: Fetched, query: MessageQuery, shown: dict[str, Any]
) -> None:
    wanted = _text_wanted(query)
    if wanted is UNSET:
        return
    world = context.world
    kinds = Wanted(wanted in ("plain", "*"), wanted in ("html", "*"), _most(query.max_bytes))
    shown |= await read_text(mailbox.session, one, kinds, world)
    if wanted != "*":
        shown.setdefault(wanted, "")
    if query.web_safe_html or query.pre_process_html:
        await message_text.made_safe(shown, world, _remote(query))
    if (query.web_safe_html or query.embed_attached_images) and shown.get("html"):
        shown["html"] = await message_text.with_own_pictures(mailbox.session, one, shown["html"], world)


def _text_wanted(query: MessageQuery) -> str | UnsetType:
    return "*" if query.web_safe_html else query.text_type


def _most(asked: int | UnsetType) -> int | None:
    """The maximum characters; 0 means no limit."""
    return None if asked is UNSET else asked or None


def _remote(query: MessageQuery | TextQuery) -> Remote:
    if query.image_proxy is not UNSET:
        return by_way_of(query.image_proxy)
    return drop if query.remote_images == "drop" else keep


def _only(structure: Structure | None, paths: set[str]) -> Structure | None:
    """The structure with only these parts."""
    if structure is None:
        return None
    every = (*structure.parts, *structure.attached)
    return msgspec.structs.replace(structure, parts=tuple(part for part in every if part.path in paths), attached=())
