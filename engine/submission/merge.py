"""One request, many messages: prepared one by one, accepted together.

1. The request becomes one draft. A fault that all messages would have is refused here, and nothing is queued.
2. Each entry makes a draft of its own from it: its recipient, its texts if they are rendered, its links.
3. What entries share is composed once: texts and attachments, or only the attachments where texts are rendered.
4. An entry that cannot be composed fails alone, with its reason; one whose recipient has left the list is skipped.

A thousand entries take a fraction of a second, in slices of a few milliseconds between which other tasks run.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

import trio
from msgspec import UNSET
from msgspec.structs import replace

from engine.accounts.account import Account
from engine.errors import Problem
from engine.field_errors import invalid
from engine.mail.compose import Content, Draft, attached, content_of, headed
from engine.mail.header_writing import HeaderError
from engine.mail.parts import MimePart
from engine.queue.accept import Incoming
from engine.schema.blocklists import Skipped
from engine.schema.submit import Content as SubmitContent
from engine.schema.submit import MergeEntry, Submit
from engine.submission.composer import Composer
from engine.submission.draft import address_of, draft_of, size_of
from engine.submission.reference import NOTHING as NOTHING_READ
from engine.submission.reference import Referenced
from engine.submission.submissions import Submissions, after_of
from engine.submission.suppression import NobodyLeft
from engine.submission.terms import Terms, due_at

ENTRIES = 20
"""Entries prepared at a time, if their texts are the same."""
SLICE = 50_000
"""Characters of texts of their own that are prepared at a time."""
MOST_OCTETS = 64 * 1024**2
"""Maximum octets that entries do not share: these are in memory until they are taken."""
TOO_LARGE = 413
NOTHING = Content("", b"")
ANY_ID = "<merge@localhost>"


class Failed(NamedTuple):
    """An entry that cannot be sent. `code` and `status` are those of the error, None if it has none."""

    error: str
    code: str | None = None
    status: int | None = None


MergeRenderer = Callable[[MergeEntry, dict[str, str]], Awaitable[SubmitContent]]
"""Renders the texts for an entry; gets what they may name as `rcpt`. Raises `Problem` 422."""


class Prepared(NamedTuple):
    """The result of an entry: a message for the queue, or why there is none."""

    entry: MergeEntry
    outcome: Incoming | Skipped | Failed


async def prepare_merge(
    submissions: Submissions,
    account: Account,
    body: Submit,
    terms: Terms,
    found: Referenced = NOTHING_READ,
    render: MergeRenderer | None = None,
) -> list[Prepared]:
    """Prepare a message for each entry of `body.mail_merge`, in their order. `render` None: all get the same texts.

    `found` is what was read of the message that they refer to, and of files in the mailbox.

    Raises `Problem`: 400 that names what is wrong with the request as a whole; 413 if the messages are too large
    together.
    """
    entries: Sequence[MergeEntry] = () if body.mail_merge is UNSET else body.mail_merge
    times = [terms.send_at if each.send_at is UNSET else due_at(each.send_at, terms.now) for each in entries]
    run, quote = submissions.composer.run, sum(map(len, found.quote or ()))
    draft = await run(draft_of, account.record, body, found, size=_texts(body) + quote)
    links = await submissions.links.of(account, terms)
    if render is None:
        draft = await run(links.with_text, draft, size=_texts(draft))
    left = submissions.links.skipped(account.id, terms, [each.to.address for each in entries])
    contents = await Contents.of(submissions.composer, draft, size_of(body) + found.size)
    prepared: list[Prepared] = []
    worked = 0
    for entry, send_at in zip(entries, times, strict=True):
        if worked >= SLICE:
            await trio.lowlevel.checkpoint()
            worked = 0
        worked += SLICE // ENTRIES
        if (reason := left.get(entry.to.address)) is not None:
            prepared.append(Prepared(entry, Skipped(reason=reason, list_id=terms.list_id or "")))
            continue
        message_id = submissions.composer.message_id(draft.sender.address, entry.message_id)
        try:
            own = draft
            if render is not None:
                rendered = await render(entry, links.variables(address_of(entry.to), message_id))
                own = await run(draft_of, account.record, rendered, found, size=_texts(rendered) + quote)
                if own.attachments == draft.attachments:
                    own = replace(own, attachments=draft.attachments)
            own = replace(own, to=(address_of(entry.to),), cc=(), bcc=())
            own = await run(links.put_into, own, message_id, size=_texts(own))
            if own.text is not draft.text or own.html is not draft.html:
                worked += _texts(own)
            composed = headed(own, await contents.for_draft(own), message_id=message_id, date=send_at)
        except HeaderError as error:
            prepared.append(Prepared(entry, Failed(f"{error.field} {error.reason}")))
            continue
        except Problem as error:
            if error.status == TOO_LARGE:
                raise
            prepared.append(Prepared(entry, Failed(error.message, error.extra.get("code"), error.status)))
            continue
        own_terms = terms if send_at == terms.send_at else replace(terms, send_at=send_at)
        outcome: Incoming | Skipped | Failed
        try:
            outcome = submissions.incoming(account, own, composed, message_id, own_terms, after_of(found))
        except NobodyLeft as nobody:
            outcome = Skipped(reason=nobody.suppressed[0].reason)
        except Problem as error:
            outcome = Failed(error.message, error.extra.get("code"), error.status)
        prepared.append(Prepared(entry, outcome))
    return prepared


def _texts(content: SubmitContent | Draft) -> int:
    """Characters of the texts."""
    return len(content.text or "") + len(content.html or "")


class Contents:
    """The texts and attachments of a merge; what is the same for several entries is composed once.

    All have the same boundary, so that those with different texts share the octets of their attachments.
    """

    def __init__(self, composer: Composer, draft: Draft, parts: Sequence[MimePart], size: int) -> None:
        self._composer = composer
        self._draft = draft
        self._parts = parts
        self._size = size
        self._boundary = composer.boundary()
        self._shared: Content | None = None
        self._tails: dict[bool, bytes] = {}
        self._octets = 0

    @classmethod
    async def of(cls, composer: Composer, draft: Draft, size: int) -> Contents:
        """Those of the draft that all share, about `size` octets. Raises `Problem` 400 for what no entry could have."""
        try:
            headed(draft, NOTHING, message_id=ANY_ID, date=0.0)
            return cls(composer, draft, await composer.run(attached, draft, size=size), size)
        except HeaderError as error:
            raise invalid(error.field, error.reason) from error

    async def for_draft(self, own: Draft) -> Content:
        """The content of an entry's draft. Raises `HeaderError`, and `Problem` 413 if all are too large together."""
        draft, boundary, run = self._draft, self._boundary, self._composer.run
        if own.attachments is not draft.attachments:
            parts = await run(attached, own, size=self._size)
            content = await run(content_of, own, boundary, parts, size=self._size)
        elif own.text is draft.text and own.html is draft.html:
            if self._shared is None:
                self._shared = await run(content_of, own, boundary, self._parts, size=self._size)
            return self._shared
        else:
            is_known = bool(own.html) in self._tails
            size = len(own.text or "") + len(own.html or "") if is_known else self._size
            content = await run(content_of, own, boundary, self._parts, self._tails, size=size)
        self._octets += len(content.body)
        if self._octets > MOST_OCTETS:
            text = f"What differs between the messages of a merge may have at most {MOST_OCTETS} octets"
            raise Problem(TOO_LARGE, f"{text}: make requests with fewer entries", code="TooLarge")
        return content
