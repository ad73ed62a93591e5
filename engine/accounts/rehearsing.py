"""Rehearsals with sandbox accounts: their scripts, their time, and mail that arrives for them."""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

from engine.accounts.account import Account
from engine.accounts.passing_time import PassingTime
from engine.accounts.registration import imap_endpoint
from engine.accounts.sandbox_scripts import SandboxScripts
from engine.model.message import Message
from engine.sandbox import answering_mail
from engine.sandbox.answering_mail import Answer as Answer
from engine.sandbox.answering_mail import AnswerKind as AnswerKind
from engine.sandbox.answering_mail import Original
from engine.sandbox.provider import Sandbox
from engine.sandbox.script import ScriptedFault as ScriptedFault
from engine.sandbox.script import ScriptStep as ScriptStep
from engine.sandbox.script import Server as Server
from engine.sandbox.script import Stage as Stage
from engine.store import messages
from engine.world import World


class Rehearsing(NamedTuple):
    """What requests use. `time` runs as a service."""

    sandbox: Sandbox
    scripts: SandboxScripts
    time: PassingTime
    world: World

    def arrive(self, account: Account, answer: Answer, message: Message, recipient: str) -> None:
        """Have the answer of a recipient to a sent message arrive in the account's mailbox."""
        caught = next(
            (
                each.raw
                for each in reversed(list(self.sandbox.caught.values()))
                if message.message_id.encode() in each.raw[: answering_mail.HEADER_BYTES]
            ),
            b"",
        )
        header = caught[: caught.find(b"\r\n\r\n") + 2] or _header(message)
        about = Original(message.message_id, message.sender, recipient, message.queue_id, header, self.world.now())
        endpoint = imap_endpoint(account.record, account.sign_in.app)
        if endpoint is not None and endpoint.credentials is not None:
            raw = answering_mail.build(answer, about, self.world.uuid())
            self.sandbox.arrive(endpoint.credentials.user, raw)


def recipients_of(db: sqlite3.Connection, message: Message) -> list[str]:
    """The addresses that a message was for."""
    return [each.address for each in messages.recipients(db, message.id)]


def _header(message: Message) -> bytes:
    """What is still known of the header, once the sandbox has forgotten the message."""
    subject = " ".join((message.subject or "").split())
    return f"Message-ID: {message.message_id}\r\nSubject: {subject}\r\n".encode()
