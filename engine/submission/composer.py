"""Composes drafts, large ones in a thread, and at most a few of these at a time."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeVar, TypeVarTuple

import msgspec
from msgspec import UNSET, UnsetType

from engine.field_errors import invalid
from engine.heavy_work import HeavyWork
from engine.mail.compose import Composed, Draft, compose, message_id_of
from engine.mail.header_reading import raw_fields
from engine.mail.header_writing import HeaderError
from engine.mail.raw_message import from_raw, with_fields
from engine.model.registration import Registration
from engine.schema.submit import Content, NamedAddress
from engine.submission.draft import draft_of, size_of
from engine.submission.raw import given_fields
from engine.submission.reference import NOTHING, Referenced
from engine.world import World

T = TypeVar("T")
Args = TypeVarTuple("Args")

_NOBODY = NamedAddress(address="nobody@localhost")
_FOLLOWING = frozenset({b"subject", b"to", b"cc", b"in-reply-to", b"references"})
"""Fields that may follow from another message."""
HERE = 100_000
"""Octets above which a message is composed in a thread, so that it does not delay everything else."""
LARGE = HERE + 1
"""For what is composed in a thread in any case."""


class Composer:
    """Composes drafts. `heavy` limits the large ones at work."""

    def __init__(self, heavy: HeavyWork, world: World) -> None:
        self._heavy = heavy
        self._world = world

    def message_id(self, author: str, asked: str | UnsetType = UNSET) -> str:
        """The Message-ID that is requested, or a new one in the domain of the author's address."""
        if asked is not UNSET:
            return message_id_of(asked)
        return f"<{self._world.uuid()}@{author.rpartition('@')[2] or 'localhost'}>"

    def boundary(self) -> str:
        """A new boundary between parts."""
        return f"----=_Part-{self._world.token_bytes(12).hex()}"

    async def compose(self, draft: Draft, message_id: str, date: float, size: int) -> Composed:
        """Compose a draft of about `size` octets; `date` in seconds since 1970. Raises `Problem` 400."""
        work = partial(compose, draft, message_id=message_id, date=date, boundary=self.boundary())
        try:
            return await self.run(work, size=size)
        except HeaderError as error:
            raise invalid(error.field, error.reason) from error

    async def run(self, work: Callable[[*Args], T], *arguments: *Args, size: int) -> T:
        """Do a part of that work, about `size` octets of it. Raises what `work` raises."""
        if size <= HERE:
            return work(*arguments)
        async with self._heavy.short():
            return await self._world.in_thread(work, *arguments)

    async def whole(
        self, raw: bytes, record: Registration, content: Content, date: float, found: Referenced = NOTHING
    ) -> Composed:
        """A whole message, with the additional header fields of the request. Raises `Problem` 400.

        `date` (seconds since 1970) is for a message without a Date. From the message that it refers to, it takes only
        the fields that it lacks.
        """
        fresh = self.message_id("" if record.email is UNSET else record.email)
        large = len(raw) > HERE
        message = await self._world.in_thread(from_raw, raw, fresh, date) if large else from_raw(raw, fresh, date)
        names = given_fields(content)
        if found.original is not None:
            names |= _FOLLOWING - {name.encode() for name, _ in raw_fields(message.header)}
        if not names:
            return message
        if content.sender is UNSET:
            # Who it is does not matter: the message keeps its own author.
            content = msgspec.structs.replace(content, sender=_NOBODY)
        draft = draft_of(record, content, found)
        message_id = self.message_id(draft.sender.address, content.message_id)
        given = await self.compose(draft, message_id, date, size_of(content))
        return with_fields(message, given, names)
