"""Checks of composed messages: once for each distinct content, and once for the domain that sends them.

The rules are in `engine/checks/`; here is what they have to know about the account and its server.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import trio

from engine.accounts.account import Account
from engine.checks.checked_mail import read_mail
from engine.checks.checker import content_checks, domain_checks
from engine.checks.content_rules import too_large
from engine.checks.dkim import signatures
from engine.checks.found import found, worst_first
from engine.checks.lookups import Lookups
from engine.checks.sending import Sending
from engine.gateways.registry import Gateways
from engine.host_names import ascii_name
from engine.mail.address_reading import read_addresses
from engine.mail.header_reading import raw_fields
from engine.queue.accept import Incoming
from engine.schema.submit_checks import SubmitCheck
from engine.smtp.offered_sizes import OfferedSizes
from engine.submission.composer import Composer
from engine.submission.tracking import click_target

AS_COMPOSING: Final = 5
"""Checking takes as long as composing about this many times the octets."""
MOST_CONTENTS: Final = 20
"""Different contents of a merge that are checked."""


class Checkable(NamedTuple):
    """A message to check. `unresolved`: variables without a value, by the member that names them.

    `whole`: it was given as `raw`. `to_list`: its caller named a list.
    """

    incoming: Incoming
    unresolved: dict[str, tuple[str, ...]]
    whole: bool = False
    to_list: bool = False


class MergeChecks(NamedTuple):
    """What all messages of a merge have in common, and what each has besides."""

    common: tuple[SubmitCheck, ...]
    own: tuple[tuple[SubmitCheck, ...], ...]


class _Server(NamedTuple):
    host: str
    port: int
    login: str


class Checking:
    """Checks messages. `sizes`: what SMTP servers have said that they take."""

    def __init__(self, lookups: Lookups, gateways: Gateways, sizes: OfferedSizes, composer: Composer) -> None:
        self._lookups = lookups
        self._gateways = gateways
        self._sizes = sizes
        self._composer = composer

    async def one(self, account: Account, message: Checkable) -> tuple[SubmitCheck, ...]:
        """The checks of a message, the most severe first. Cancelled: nothing is left behind."""
        checks = await self._of_content(account, message)
        return worst_first([*checks, *await self._of_domain(account, message.incoming)])

    async def merge(self, account: Account, messages: Sequence[Checkable]) -> MergeChecks:
        """The checks of several messages of the same author, of which contents may be the same."""
        if not messages:
            return MergeChecks((), ())
        by_content: dict[object, list[SubmitCheck]] = {}
        of_each: list[list[SubmitCheck] | None] = []
        for message in messages:
            key = _content(message)
            if key not in by_content and len(by_content) < MOST_CONTENTS:
                by_content[key] = await self._of_content(account, message)
            of_each.append(by_content.get(key))
        shared = frozenset.intersection(*map(frozenset, by_content.values()))
        common = [*shared, *await self._of_domain(account, messages[0].incoming)]
        left = of_each.count(None)
        if left:
            text = f"The contents of {left} messages are not checked: they are more than {MOST_CONTENTS} different ones"
            common.append(found("contentNotChecked", "info", text, "mailMerge"))
        own = tuple(worst_first(each for each in checks or () if each not in shared) for checks in of_each)
        return MergeChecks(worst_first(common), own)

    async def _of_content(self, account: Account, message: Checkable) -> list[SubmitCheck]:
        server = self._server(account, message.incoming)
        size = message.incoming.content.size
        limit = self._sizes.of(server.host, server.port)
        checks = await self._composer.run(_content_checks, message, size=size * AS_COMPOSING)
        await trio.lowlevel.checkpoint()
        return [*checks, *too_large(size, limit, server.host)]

    async def _of_domain(self, account: Account, incoming: Incoming) -> list[SubmitCheck]:
        server = self._server(account, incoming)
        header = dict(reversed(raw_fields(incoming.content.header)))
        authors = read_addresses(header.get("from", b"").decode("utf-8", "replace"))
        author = next((address for _, address in authors if "@" in address), incoming.message.sender)
        sending = Sending(
            author=ascii_domain(author.rpartition("@")[2]),
            author_address=author,
            sender=incoming.message.sender,
            login=server.login,
            host="" if incoming.message.gateway is None and account.in_sandbox else server.host,
            signatures=tuple(
                signatures(
                    value.decode("latin-1")
                    for name, value in raw_fields(incoming.content.header)
                    if name == "dkim-signature"
                )
            ),
        )
        return await domain_checks(self._lookups, sending)

    def _server(self, account: Account, incoming: Incoming) -> _Server:
        if incoming.message.gateway is not None:
            gateway = self._gateways.get(incoming.message.gateway)
            record = gateway.record if gateway is not None else None
            return _Server(record.host, record.port, record.user or "") if record is not None else _Server("", 0, "")
        endpoint = account.smtp_endpoint
        if endpoint is None:
            return _Server("", 0, "")
        login = endpoint.credentials.user if endpoint.credentials is not None else ""
        return _Server(endpoint.host, endpoint.port, login)


def ascii_domain(domain: str) -> str:
    """A domain in the form in which name servers know it."""
    name = domain.strip().rstrip(".").lower()
    try:
        return ascii_name(name)
    except UnicodeError:
        return name


def _content(message: Checkable) -> object:
    """What tells contents of messages apart."""
    content = message.incoming.content
    return message.incoming.message.subject, content.body, content.tail, tuple(message.unresolved.items())


def _content_checks(message: Checkable) -> list[SubmitCheck]:
    mail = read_mail(
        message.incoming.content,
        whole=message.whole,
        to_list=message.to_list,
        unresolved=message.unresolved,
        target=click_target,
    )
    return content_checks(mail)
