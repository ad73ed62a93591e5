"""Reads what a message refers to: the one that it replies to or forwards, and files of any message in the mailbox.

All of it is read over one command connection of the account, before the request is processed. Files are downloaded
within limits (`mailbox_files`), texts as the API reads them (`message_text`).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from datetime import UTC, tzinfo
from typing import NamedTuple
from zoneinfo import ZoneInfo

import msgspec
from msgspec import UNSET

from engine.accounts import message_ids, registration
from engine.accounts.account import Account
from engine.accounts.leased_connections import NoSession
from engine.accounts.message_download import find_part
from engine.accounts.message_ids import NoId
from engine.accounts.message_ids import Place as IdPlace
from engine.accounts.message_lookup import Locator, no_message, refused
from engine.accounts.message_summary import is_text
from engine.accounts.message_text import GLANCES, Wanted, read_text
from engine.accounts.search_keys import GMAIL, OBJECT_IDS, search_keys
from engine.errors import Problem
from engine.field_errors import invalid
from engine.heavy_work import HeavyWork
from engine.imap.fetched import Fetched
from engine.imap.session import CommandRefused, ImapSession
from engine.imap.structure import BodyPart
from engine.mail.addresses import Address, parse_address
from engine.mail.dates import read_date
from engine.mail.decode import header_text
from engine.mail.header_reading import fields
from engine.mail.header_writing import HeaderError, strict_addresses
from engine.mail.quote_words import Words, words_of
from engine.mail.quoting import Texts, quoted
from engine.mail.replying import Original
from engine.mail.web_safe import renamed_pictures, wanted_pictures
from engine.model.registration import Registration
from engine.model.settings import Settings
from engine.schema.reference import Reference, ReferenceShown
from engine.schema.search import SearchQuery
from engine.schema.submit import Content
from engine.settings import SettingsBook
from engine.store.writer import Store
from engine.submission.draft import addresses_of, shown_addresses
from engine.submission.mailbox_files import Room, Share, Waiting, downloaded
from engine.submission.reference import NOTHING, Place, Referenced
from engine.world import World

_FIELDS = "HEADER.FIELDS (REFERENCES IN-REPLY-TO MAIL-REPLY-TO MAIL-FOLLOWUP-TO DELIVERED-TO)"
_CID = re.compile(r"[!-;=?-~]{1,200}")
MISSING = "Referenced message was not found"


class _Asked(msgspec.Struct, frozen=True):
    """What a request refers to. `files` are attachments of the request, by number; None: an id never issued."""

    reference: Reference | None
    place: IdPlace | None
    files: dict[int, IdPlace | None]
    taken: Collection[str]
    """Content-IDs that the request uses itself."""
    words: Words
    zone: tzinfo


class _Read(NamedTuple):
    """What was read of it: `found` lacks the files."""

    found: Referenced
    pictures: tuple[Waiting, ...] = ()
    carried: tuple[Waiting, ...] = ()
    attached: Mapping[int, Waiting] = {}

    @property
    def is_large(self) -> bool:
        """Whether a file waits on disk."""
        return any(each.arrived.is_large for each in (*self.pictures, *self.carried, *self.attached.values()))

    async def load(self) -> Referenced:
        """All of it, in memory. Raises `StorageUnavailable`."""
        pictures = tuple([await each.load() for each in self.pictures])
        carried = tuple([await each.load() for each in self.carried])
        attached = {number: await each.load() for number, each in self.attached.items()}
        return msgspec.structs.replace(self.found, pictures=pictures, carried=carried, attached=attached)


class References:
    """Reads for all messages. `most`: octets of the files of one message; `room` limits those of all.

    `heavy`: turns for large ones.
    """

    def __init__(
        self, store: Store, settings: SettingsBook, most: int, room: Room, heavy: HeavyWork, world: World
    ) -> None:
        self._store = store
        self._settings = settings
        self._most = most
        self._room = room
        self._heavy = heavy
        self._world = world

    def read(self, account: Account, content: Content, seconds: float) -> AbstractAsyncContextManager[Referenced]:
        """Read what `content` refers to; its files are held in memory until the block ends.

        While it reads, another large request may have its turn; a large one then waits for another turn before the
        block. So the block should end when the message is on disk.

        `seconds`: for a connection, and for each answer of the server. Raises `Problem`: 400 for an invalid id, or if
        the account has no mailbox; 404 for what does not exist; 413 or 503 by the limits; 503 with EmailEngine's code
        `IMAPUnavailable` if the account is not connected; 504 if the time is up.
        """
        asked = _asked(content, account.record, self._settings.values)
        if asked.reference is None and not asked.files:
            return nullcontext(NOTHING)
        return self._reading(account, asked, seconds)

    @asynccontextmanager
    async def _reading(self, account: Account, asked: _Asked, seconds: float) -> AsyncIterator[Referenced]:
        if not account.has_imap:
            raise Problem(400, "The account has no mailbox to refer to", code="ReferenceNotSupported")
        with self._room.share(self._most) as share:
            is_large = self._heavy.go_on_slowly()
            read = await self._read(account, asked, share, seconds)
            async with self._heavy.large() if is_large or read.is_large else nullcontext():
                yield await read.load()

    async def _read(self, account: Account, asked: _Asked, share: Share, seconds: float) -> _Read:
        reference = asked.reference
        long = bool(asked.files) or (reference is not None and (reference.inline or reference.forward_attachments))
        uses = dict(registration.watch_rules(account.record, account.status.created).uses)
        locator = Locator(account.id, self._store, uses, account.look_soon)
        try:
            async with account.commands.lease(seconds, long=long) as session:
                reading = _Reading(session, locator, share, seconds, self._world)
                read = _Read(NOTHING) if reference is None else await reading.message(reference, asked)
                attached = {number: await reading.file(number, place) for number, place in asked.files.items()}
                return read._replace(attached=attached)
        except NoSession as error:
            if error.status != 503:
                raise
            extra = {**error.extra, "code": "IMAPUnavailable"}
            raise Problem(503, error.message, headers=error.headers, **extra) from error
        except CommandRefused as error:
            raise refused(error) from error


class _Reading:
    """Reading over one session."""

    def __init__(self, session: ImapSession, locator: Locator, share: Share, seconds: float, world: World) -> None:
        self._session = session
        self._locator = locator
        self._share = share
        self._seconds = seconds
        self._world = world

    async def message(self, reference: Reference, asked: _Asked) -> _Read:
        """The original, its texts and files as far as they are needed. Raises `Problem` 404, 413, 503."""
        shown = ReferenceShown(message=reference.message, thread_id=reference.thread_id, success=True)
        try:
            place = asked.place
            if reference.message is UNSET and reference.thread_id is not UNSET:
                place = await self._newest_of(reference.thread_id)
            if place is None:
                raise no_message()
            row, one = await self._locator.describe(self._session, place, _FIELDS, GLANCES if reference.inline else ())
        except Problem as error:
            if error.status != 404:
                raise
            if not reference.ignore_missing:
                raise Problem(404, MISSING, code="ReferenceNotFound") from error
            return _Read(Referenced(shown=msgspec.structs.replace(shown, success=False, error=MISSING)))
        original = _original(one)
        if reference.message_id is not UNSET and reference.message_id != original.message_id:
            raise no_message()
        quote, pictures = None, dict[str, Waiting]()
        if reference.inline:
            texts = await read_text(self._session, one, Wanted(), self._world)
            given = Texts(texts.get("plain", ""), texts.get("html", ""))
            quote = await self._world.in_thread(quoted, original, given, reference.action, asked.words, asked.zone)
            quote, pictures = await self._with_pictures(one, quote, asked.taken)
        files = [
            await self._downloaded(one, part)
            for part in (_files(one) if reference.forward_attachments else ())
            if part.path not in pictures
        ]
        found = Referenced(
            shown=shown,
            original=original,
            action=reference.action,
            place=Place(row.id, one.uid),
            delivered_to=next(iter(fields(one.header).get("delivered-to", ())), "").strip(),
            quote=quote,
        )
        if reference.forward_attachments:
            return _Read(found, carried=(*pictures.values(), *files))
        return _Read(found, pictures=tuple(pictures.values()))

    async def _newest_of(self, thread: str) -> IdPlace | None:
        """The newest message of a conversation in the folder of all mail, else in INBOX."""
        capabilities = self._session.capabilities
        if not {GMAIL, OBJECT_IDS} & set(capabilities):
            return None
        keys = search_keys(SearchQuery(thread_id=thread), capabilities)
        for path in ("\\All", "INBOX"):
            try:
                opened = await self._locator.open(self._session, path)
            except Problem as error:
                if error.status != 404:
                    raise
                continue
            if uids := await self._session.search(*keys):
                return IdPlace(opened.row.id, uids[-1])
        return None

    async def file(self, number: int, place: IdPlace | None) -> Waiting:
        """The file that stands for an attachment of the request. Raises `Problem` 404, which names it."""
        try:
            if place is None:
                raise no_message()
            _, one = await self._locator.fetch(self._session, place, ("UID", "RFC822.SIZE", "BODYSTRUCTURE"))
            if (part := find_part(one, place.part)) is None:
                raise no_message()
        except Problem as error:
            if error.status != 404:
                raise
            name = f"attachments[{number}].reference"
            field = {"message": f'"{name}" is not the id of an attached file', "key": "reference", "path": name}
            missing = "Requested attachment was not found"
            raise Problem(404, missing, code="AttachmentNotFound", fields=[field]) from error
        return await self._downloaded(one, part)

    async def _with_pictures(
        self, one: Fetched, quote: Texts, taken: Collection[str]
    ) -> tuple[Texts, dict[str, Waiting]]:
        """The quote, and the pictures of the message that it shows, by section number.

        A picture gets another Content-ID if the new message uses its own, or no header can carry it.
        """
        wanted = wanted_pictures(quote.html)
        found: dict[str, Waiting] = {}
        names: dict[str, str] = {}
        for part in one.structure.parts if wanted and one.structure is not None else ():
            name = header_text(part.content_id).strip("<> ")
            if name not in wanted or name in names or is_text(part):
                continue
            names[name] = name
            if name in taken or not _CID.fullmatch(name):
                names[name] = f"{hashlib.sha256(f'{part.path} {name}'.encode()).hexdigest()[:24]}@quoted"
            found[part.path] = await self._downloaded(one, part, names[name])
        return quote._replace(html=renamed_pictures(quote.html, names)), found

    async def _downloaded(self, one: Fetched, part: BodyPart, cid: str | None = None) -> Waiting:
        return await downloaded(self._session, one.uid, part, self._share, self._seconds, cid)


def _asked(content: Content, record: Registration, settings: Settings) -> _Asked:
    """What the request refers to. Raises `Problem` 400 for an invalid id or time zone."""
    reference = None if content.reference is UNSET else content.reference
    place = None
    if reference is not None and reference.message is not UNSET:
        place = _place(reference.message, "reference.message", of_file=False)
    files = {
        number: _place(each.reference, f"attachments[{number}].reference", of_file=True)
        for number, each in enumerate(content.attachments)
        if isinstance(each.reference, str) and each.reference
    }
    taken = {each.cid.strip("<>") for each in content.attachments if each.cid}
    words = words_of(content.locale or record.locale or settings.locale or "")
    return _Asked(reference, place, files, taken, words, _zone(content, record, settings))


def _place(written: str, name: str, *, of_file: bool) -> IdPlace | None:
    try:
        return message_ids.read_attachment(written) if of_file else message_ids.read_message(written)
    except NoId as error:
        raise invalid(name, "must be a valid base64 string") from error


def _zone(content: Content, record: Registration, settings: Settings) -> tzinfo:
    """The time zone of the request, else the account's, else that of the settings, else UTC.

    Raises `Problem` 400 for an unknown one in the request.
    """
    name = content.tz or record.tz or settings.timezone
    try:
        return ZoneInfo(name) if name else UTC
    except (KeyError, ValueError, OSError) as error:
        if not content.tz:
            return UTC
        raise invalid("tz", 'is no time zone; "Europe/Berlin" is one') from error


def _original(one: Fetched) -> Original:
    """What an answer needs to know about a message."""
    envelope = one.envelope
    if envelope is None:
        return Original(date=one.internal_date)
    header = fields(one.header)
    written = read_date(envelope.date)
    return Original(
        subject=" ".join(header_text(envelope.subject).split()),
        message_id=envelope.message_id.decode("ascii", "replace").strip(),
        references=" ".join(header.get("references", ())),
        in_reply_to=" ".join(header.get("in-reply-to", ())),
        author=addresses_of(envelope.author),
        reply_to=addresses_of(envelope.reply_to),
        to=addresses_of(envelope.to),
        cc=addresses_of(envelope.cc),
        shown_author=shown_addresses(envelope.author),
        shown_to=shown_addresses(envelope.to),
        shown_cc=shown_addresses(envelope.cc),
        mail_reply_to=_addresses(header.get("mail-reply-to", [])),
        mail_followup_to=_addresses(header.get("mail-followup-to", [])),
        date=one.internal_date if written is None else written,
    )


def _addresses(values: list[str]) -> list[Address]:
    """The addresses in fields that ENVELOPE lacks; none if they cannot be parsed."""
    found = []
    for value in values:
        try:
            found += [Address(parse_address(each.address), each.name) for each in strict_addresses(value, "")]
        except (HeaderError, ValueError):
            return []
    return found


def _files(one: Fetched) -> list[BodyPart]:
    """The attached files of a message, without the pictures that belong to its HTML."""
    parts = [part for part in one.structure.parts if not is_text(part)] if one.structure is not None else []
    return [part for part in parts if not part.content_id or "multipart/related" not in part.parents]
