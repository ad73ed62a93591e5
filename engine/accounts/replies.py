"""Recognizes replies to messages that the account sent, and announces each once.

1. A reply names the Message-ID of a sent message in In-Reply-To or References, which every new message is fetched with
   anyway. What names none of them, reports (bounces, read receipts) and the account's own mail in Sent, Drafts and
   Trash costs nothing more.
2. The text of a reply is fetched, up to a limit, and its quotes and signature are removed in a thread.
3. `messageReply` follows `messageNew` in the same commit. The same reply in another folder, or seen again after the
   server renumbered a folder, raises no second one.
"""

from __future__ import annotations

import logging
import re
import sqlite3
from typing import Any

import msgspec

from engine.accounts.bounce_reports import ELSEWHERE, Follow, answered_ids, is_surely_report
from engine.accounts.message_summary import TextParts
from engine.accounts.message_text import Wanted, read_text
from engine.accounts.observed_changes import scope
from engine.events.journal import Journal
from engine.imap.envelope import ImapEnvelope
from engine.imap.fetched import Fetched
from engine.imap.session import CommandRefused, ImapSession
from engine.mail.auto_reply import kind_of_reply
from engine.mail.header_reading import fields
from engine.mail.reply_page import reply_of_page
from engine.mail.reply_text import LONGEST, reply_text
from engine.store import bounces, replies
from engine.store.mailboxes import MailboxRow
from engine.store.replies import Sent
from engine.store.writer import Tx
from engine.world import World

log = logging.getLogger("engine.replies")

HTML_CHARACTERS = 2 * LONGEST
"""Maximum characters of HTML that are read for the text of a reply."""
TEXT_CHARACTERS = 32 * 1024
"""Maximum characters of a reply's text in its event."""
_REFERENCES = re.compile(rb"^references[ \t]*:", re.IGNORECASE | re.MULTILINE)
_RECEIPT = "message/disposition-notification"
_LONGEST_KEY = 1000


class Reply(msgspec.Struct, frozen=True):
    """Which sent message a new one answers, and what identifies the new one wherever it is seen."""

    sent: Sent
    key: str


class Written(msgspec.Struct, frozen=True):
    """What the author of a reply wrote; `more`: some of the message was not read, or of the text is not here."""

    text: str
    more: bool


def find_reply(db: sqlite3.Connection, row: MailboxRow, one: Fetched) -> Reply | None:
    """What a new message answers, unless it is no reply or was announced before."""
    envelope = one.envelope or ImapEnvelope()
    if row.special_use in ELSEWHERE or not (envelope.in_reply_to or _REFERENCES.search(one.header)):
        return None
    sent = replies.find_sent(db, row.account, answered_ids(one))
    if sent is None or _reports(one):
        return None
    own_id = envelope.message_id.decode("utf-8", "replace").strip()
    key = own_id or one.email_id or f"{row.id} {row.uid_validity} {one.uid}"
    reply = Reply(sent, key[:_LONGEST_KEY])
    return None if replies.told(db, sent, reply.key) else reply


def may_be_reply(data: dict[str, Any]) -> bool:
    """Whether a message that names a sent one may be a reply, by the data of its `messageNew`."""
    reports = {"isBounce", "isComplaint", "deliveryReport"} & data.keys()
    return not reports and data.get("messageSpecialUse") not in ELSEWHERE


async def written_text(session: ImapSession, one: Fetched, world: World) -> Written | None:
    """What the author of a message wrote; None if there is no text, or the server refuses it."""
    parts = TextParts(one.structure)
    plain, page = Wanted(html=False, most=LONGEST), Wanted(plain=False, most=HTML_CHARACTERS)
    try:
        if parts.plain:
            read = await read_text(session, one, plain, world, parts)
            if read["plain"].strip() or not parts.html:
                return _written(await world.in_thread(reply_text, read["plain"]), more=read["hasMore"])
        if parts.html:
            read = await read_text(session, one, page, world, parts)
            return _written(await world.in_thread(reply_of_page, read["html"], HTML_CHARACTERS), more=read["hasMore"])
    except CommandRefused as error:
        log.warning("the text of a reply cannot be read: %s", error)
    return None


def announcing(
    row: MailboxRow,
    one: Fetched,
    reply: Reply,
    data: dict[str, Any],
    written: Written | None,
    journal: Journal,
    world: World,
) -> Follow:
    """What announces a reply in the commit of its `messageNew`, whose data is `data`."""
    event = {name: data[name] for name in ("id", "subject", "date", "from", "messageId") if data.get(name)}
    event |= {"queueId": reply.sent.queue_id, "inReplyTo": reply.sent.message_id}
    said = written.text if written is not None else ""
    automatic = data.get("isAutoReply", False)
    event["auto"] = kind_of_reply(fields(one.header), data.get("subject", ""), said, automatic=automatic) or False
    if written is not None:
        event["extractedText"] = said
        if written.more:
            event["hasMore"] = True
    author = event.get("from", {}).get("address", "")

    def follow(tx: Tx) -> None:
        sent = replies.find_sent(tx, row.account, [reply.sent.message_id])
        if sent is None or replies.told(tx, sent, reply.key):
            return
        if replies.find_sent(tx, row.account, [reply.key]) and not bounces.has_recipient(tx, sent.id, author):
            # The account sent this one too: a second message to the same people, of which a copy came back.
            return
        number = journal.append(tx, "messageReply", row.account, event, scope(row))
        replies.note(tx, sent, reply.key, number, world.now())
        asked = bounces.has_recipient(tx, sent.id, author)
        journal.deliveries.replied(tx, row.account, author if asked else bounces.first_recipient(tx, sent.id))

    return follow


def _reports(one: Fetched) -> bool:
    parts = one.structure.parts if one.structure is not None else ()
    return any(part.kind == _RECEIPT for part in parts) or is_surely_report(one)


def _written(text: str, *, more: bool) -> Written:
    return Written(text[:TEXT_CHARACTERS], more or len(text) > TEXT_CHARACTERS)
