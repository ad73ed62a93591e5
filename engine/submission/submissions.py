"""From request to message in the queue: prepared step by step, then accepted in one commit.

1. The members of the request become a `Draft`, with what `references` read of the messages that it refers to.
2. Links that lead back to the engine are put into it: those of its list, and those that report opens and clicks.
3. The draft is composed, once, so that its caller sees every fault.
4. With its terms it becomes a `Message` with recipients: what the queue takes.
5. The queue makes it durable.

A whole message, such as a stored draft, enters at the fourth step. Several messages are prepared one by one and
accepted together. Until it is accepted, nothing of a message is kept.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec import UNSET
from msgspec.structs import replace

from engine.accounts.account import Account
from engine.accounts.proxy_choice import Routes
from engine.field_errors import invalid
from engine.mail.addresses import Address
from engine.mail.compose import Composed, Draft
from engine.mail.header_writing import HeaderError
from engine.model.message import Message, OnDoubt
from engine.model.message_states import State
from engine.queue.accept import After, Incoming, Intake
from engine.queue.queue_ids import QueueIds
from engine.schema.submit import Content
from engine.store.follow_ups import What
from engine.store.idempotency_keys import Kept
from engine.submission.composer import HERE, Composer
from engine.submission.draft import draft_of, size_of
from engine.submission.envelope import copy_path_of, envelope_of
from engine.submission.gateway_choice import GatewayChoice
from engine.submission.mail_links import MailLinks
from engine.submission.raw import (
    dated,
    draft_of_raw,
    international,
    message_id_in,
    refuse_long_lines,
    take_controls,
    with_author,
    with_controls,
)
from engine.submission.reference import NOTHING, Referenced
from engine.submission.reference_reading import References
from engine.submission.sending_limits import refuse_too_many
from engine.submission.suppression import Suppressions
from engine.submission.terms import Terms
from engine.world import World


class Submissions:
    """Makes messages for the queue. `attempts` returns how often a message is attempted if its caller does not say."""

    def __init__(
        self,
        composer: Composer,
        references: References,
        links: MailLinks,
        intake: Intake,
        queue_ids: QueueIds,
        routes: Routes,
        attempts: Callable[[], int],
        gateways: GatewayChoice,
        on_doubt: OnDoubt,
        suppressions: Suppressions,
        world: World,
    ) -> None:
        self.composer = composer
        self.references = references
        self.links = links
        self._intake = intake
        self._queue_ids = queue_ids
        self._routes = routes
        self._attempts = attempts
        self.gateways = gateways
        self._on_doubt = on_doubt
        self._suppressions = suppressions
        self._world = world

    async def prepare(self, account: Account, content: Content, terms: Terms, found: Referenced = NOTHING) -> Incoming:
        """Make a message for the queue; `found` is what `references` read for it.

        Raises `Problem` 400 that names what is wrong.
        """
        if content.raw is not UNSET:
            return await self._whole(account, content, content.raw, terms, found)
        size = size_of(content) + found.size
        draft = (
            await self._world.in_thread(draft_of, account.record, content, found)
            if size > HERE
            else draft_of(account.record, content, found)
        )
        message_id = self.composer.message_id(draft.sender.address, content.message_id)
        draft = await self._with_links(account, draft, message_id, terms, size)
        composed = await self.composer.compose(draft, message_id, terms.send_at, size)
        incoming = self.incoming(account, draft, composed, message_id, terms, after_of(found))
        if not incoming.recipients:
            raise invalid("to", "is required")
        return incoming

    async def for_list(
        self, account: Account, content: Content, terms: Terms, found: Referenced
    ) -> tuple[str, dict[str, str]]:
        """The Message-ID of a message to a list, and what its templates may name as `rcpt`: the link names both.

        Raises `Problem` 400 if no URL leads here, or the message has not exactly one recipient.
        """
        bare = replace(content, text=UNSET, html=UNSET, attachments=())
        draft = draft_of(account.record, bare, replace(found, quote=None, pictures=(), carried=(), attached={}))
        message_id = self.composer.message_id(draft.sender.address, content.message_id)
        links = await self.links.of(account, terms)
        try:
            return message_id, links.variables(links.only_recipient(draft), message_id)
        except HeaderError as error:
            raise invalid(error.field, error.reason) from error

    async def _with_links(self, account: Account, draft: Draft, message_id: str, terms: Terms, size: int) -> Draft:
        links = await self.links.of(account, terms)
        try:
            if size > HERE:
                return await self._world.in_thread(links.put_into, draft, message_id)
            return links.put_into(draft, message_id)
        except HeaderError as error:
            raise invalid(error.field, error.reason) from error

    async def _whole(self, account: Account, content: Content, raw: bytes, terms: Terms, found: Referenced) -> Incoming:
        if terms.list_id is not None:
            raise invalid("listId", "is not allowed with raw, which is sent as it is")
        record = account.record
        message = await self.composer.whole(raw, record, content, terms.send_at, found)
        message, controls = take_controls(message)
        terms = with_controls(terms, controls)
        own = None if record.email is UNSET else Address(record.email, record.name)
        message = dated(with_author(message, own), terms)
        message_id = message_id_in(message)
        await self.composer.run(refuse_long_lines, message, size=len(message.body))
        links = await self.links.of(account, terms)
        message = await self.composer.run(links.put_into_whole, message, message_id, size=len(message.body))
        draft = draft_of_raw(message, lenient=bool(terms.recipients))
        incoming = self.incoming(account, draft, message, message_id, terms, after_of(found))
        if not incoming.recipients:
            raise invalid("raw", "names no recipient: give them in to, cc, bcc or envelope.to")
        return incoming

    def incoming(
        self,
        account: Account,
        draft: Draft,
        composed: Composed,
        message_id: str,
        terms: Terms,
        after: tuple[After, ...] = (),
    ) -> Incoming:
        """A composed message in the form for the queue; `draft` says who sends it to whom, and its subject.

        `after` is what must happen once it is sent. Raises `Problem` 400 for more recipients than the account may send
        to, 422 as `Suppressions.sift`.
        """
        envelope = envelope_of(draft, terms)
        gateway = self.gateways.of(terms.gateway)
        sifted = self._suppressions.sift(account.id, envelope.recipients, terms.if_suppressed)
        if gateway is None:
            refuse_too_many(account, len(sifted.recipients))
        attempts = self._attempts() if terms.attempts is None else terms.attempts
        message = Message(
            id=0,
            queue_id=self._queue_ids.new(terms.send_at),
            account=account.id,
            message_id=message_id,
            subject=draft.subject,
            sender=envelope.sender,
            smtputf8=composed.smtputf8 or envelope.smtputf8 or (composed.eight_bit and international(composed)),
            eight_bit=composed.eight_bit,
            dsn=terms.dsn,
            size=composed.size,
            copy_path=copy_path_of(account.record, terms, has_imap=account.has_imap),
            created=terms.now,
            send_at=terms.send_at,
            next_at=terms.send_at,
            state=State.QUEUED,
            attempts_made=0,
            attempts_max=attempts,
            dot_at=None,
            last_error=None,
            ended=None,
            on_doubt=terms.on_doubt or self._on_doubt,
            doubt_since=None,
            interruptions=0,
            expires_at=self._intake.expires_at(terms.send_at, attempts),
            local_address=terms.local_address,
            gateway=gateway,
            if_suppressed=terms.if_suppressed,
        )
        if terms.proxy is not None:
            message.proxy = self._routes.seal(account.id, message.queue_id, terms.proxy)
        return Incoming(message, sifted.recipients, composed, after, suppressed=sifted.suppressed)

    async def accept(self, *taken: Incoming, key: str | None = None, kept: Kept | None = None) -> bytes | None:
        """Make the messages durable, as `Intake.accept` does."""
        return await self._intake.accept(taken, key=key, kept=kept)


def after_of(found: Referenced) -> tuple[After, ...]:
    """What happens to the message that this one refers to, once this one is sent."""
    what: What = "forwarded" if found.action == "forward" else "answered"
    return () if found.place is None else (After(what, *found.place),)
