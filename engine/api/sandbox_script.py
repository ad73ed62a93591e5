"""The script of a sandbox account: what its provider does next, mail that arrives, and time that passes."""

from __future__ import annotations

import hashlib
from contextlib import nullcontext
from typing import NamedTuple

import msgspec
import trio
from msgspec import UNSET

from engine.accounts.account import Account
from engine.accounts.registration import is_sandbox
from engine.accounts.rehearsing import (
    Answer,
    AnswerKind,
    Rehearsing,
    ScriptedFault,
    ScriptStep,
    Server,
    Stage,
    recipients_of,
)
from engine.accounts.sandbox_scripts import Wanted
from engine.accounts.wait_until_connected import until_connected
from engine.api.context import Context, find_account
from engine.api.submit import key_of
from engine.edge.client_disconnect import carry_through
from engine.errors import Problem
from engine.field_errors import FieldErrors, FieldPath, invalid
from engine.http.account_tokens import Access
from engine.http.audit_entries import Change
from engine.http.operation import operation
from engine.model.message import Message
from engine.schema.sandbox_script import (
    MAX_STEPS,
    ScriptChangeQuery,
    ScriptGiven,
    ScriptHeaders,
    ScriptQuery,
    ScriptRemoved,
    ScriptRemoveQuery,
    ScriptShown,
    StepGiven,
    StepShown,
    TimeShown,
)
from engine.store import messages, sandbox
from engine.store.tokens import Token
from engine.store.writer import Tx

_PATH = "/v1/sandbox/script"
_TAGS = ("Sandbox",)
_OFF = "The sandbox is switched off (`[sandbox]` of config.toml), or there is no such account."
LONGEST_WAIT = 50.0
"""Seconds of a wait at most: many proxies abort a request that gets no answer for a minute."""
CONNECTING_SECONDS = 10.0
"""How long mail that arrives waits for the mailbox to be watched."""


class _Arriving(NamedTuple):
    answer: Answer
    message: Message
    recipient: str


@operation(
    "POST",
    _PATH,
    access=Access.HANDLER,
    scope="api",
    tags=_TAGS,
    errors={404: _OFF, 429: f"The account would have more than {MAX_STEPS} steps (`TooMany`)."},
    change=Change("sandbox.script", lambda path, answer: answer.account),
)
async def change(
    context: Context,
    body: ScriptGiven,
    query: ScriptChangeQuery,
    headers: ScriptHeaders,
    *,
    caller: Token | None = None,
) -> ScriptShown:
    """Rehearse with a sandbox account.

    Say what the account's provider answers next, have mail arrive, and let time pass, so that a test sees a deferral,
    its retries over days, a doubt, a bounce, a reply or a complaint within seconds. Everything concerns this account
    alone. Steps and time are on disk before the answer; `docs/sandbox.md` says what moves with time, and what does not.
    """
    rehearsing = _rehearsing(context)
    account = _account(context, body.account, caller, at="account")
    arriving = _arriving(context, account, body)
    key = key_of(headers.idempotency_key)
    steps = tuple(_step(context, each) for each in body.steps)
    wanted = Wanted(account.id, steps, body.replace, float(body.advance))
    if arriving:
        with trio.move_on_after(CONNECTING_SECONDS):
            await until_connected(account.id, context.registry, context.changes)
    is_new = await carry_through(_changed(context, rehearsing, wanted, key, body))
    if is_new:
        for each in arriving:
            rehearsing.arrive(account, *each)
        if any(step.server is Server.IMAP for step in steps):
            rehearsing.sandbox.rehearsal(account.id).hang_up_imap()
    if wanted.seconds:
        rehearsing.time.go_on(account.id)
    await _wait(context, rehearsing, account.id, query.wait, caller)
    return _shown(context, rehearsing, account.id)


@operation("GET", _PATH, access=Access.QUERY, scope="api", tags=_TAGS, errors={404: _OFF})
async def read(context: Context, query: ScriptQuery, *, caller: Token | None = None) -> ScriptShown:
    """Read the script of a sandbox account.

    It shows the steps that have still to act, and how much time has still to pass.
    """
    rehearsing = _rehearsing(context)
    account = _account(context, query.account, caller, at="account")
    await _wait(context, rehearsing, account.id, query.wait, caller)
    return _shown(context, rehearsing, account.id)


@operation(
    "DELETE",
    _PATH,
    access=Access.QUERY,
    scope="api",
    tags=_TAGS,
    errors={404: _OFF},
    change=Change("sandbox.clear", lambda path, answer: answer.account),
)
async def remove(context: Context, query: ScriptRemoveQuery, *, caller: Token | None = None) -> ScriptRemoved:
    """Clear the script of a sandbox account.

    No step acts any more, and no more time passes than has passed. Mail stays.
    """
    rehearsing = _rehearsing(context)
    account = _account(context, query.account, caller, at="account")
    deleted = await carry_through(rehearsing.scripts.clear(account.id))
    return ScriptRemoved(account=account.id, deleted=deleted)


def _rehearsing(context: Context) -> Rehearsing:
    if context.rehearsing is None:
        raise Problem(404, "The sandbox is switched off")
    return context.rehearsing


def _account(context: Context, named: str | None, caller: Token | None, *, at: str) -> Account:
    own = None if caller is None else caller.account
    if own is not None and named not in (None, own):
        raise Problem(403, "Unauthorized account")
    account = named if own is None else own
    if account is None:
        raise invalid(at, "is required")
    found = find_account(context, account)
    if not is_sandbox(found.record):
        raise invalid(at, "must be a sandbox account: this one has real servers")
    return found


async def _changed(
    context: Context, rehearsing: Rehearsing, wanted: Wanted, key: str | None, body: ScriptGiven
) -> bool:
    """Whether the change was made: it is not if the request repeats another."""
    made = [True]

    def first(tx: Tx) -> bool:
        if key is None:
            return True
        fingerprint = hashlib.sha256(msgspec.json.encode(body)).digest()
        before = sandbox.request(tx, wanted.account, key)
        if before is None:
            sandbox.keep_request(tx, wanted.account, key, fingerprint)
        elif before != fingerprint:
            text = "The Idempotency-Key was used before for another request of this account"
            raise Problem(409, text, code="IdempotencyConflict")
        made[0] = before is None
        return made[0]

    await rehearsing.scripts.change(wanted, first)
    return made[0]


def _step(context: Context, given: StepGiven) -> ScriptStep:
    return ScriptStep(
        id=context.world.letters(8),
        server=Server(given.server),
        stage=Stage(given.at),
        reply=None if given.reply is UNSET else given.reply,
        fault=None if given.fault is UNSET else ScriptedFault(given.fault),
        recipient=None if given.recipient is UNSET else given.recipient,
        times=given.times,
    )


def _arriving(context: Context, account: Account, body: ScriptGiven) -> list[_Arriving]:
    """The mail that is to arrive. Raises `Problem` 400 for what names no message of the account, or no recipient."""
    faults, found = FieldErrors(), []
    for number, given in enumerate(body.mail):
        at = FieldPath.of(f"mail[{number}]")
        message = messages.by_queue_id(context.store.reader, given.queue_id)
        if message is None or message.account != account.id:
            faults.add(at.member("queueId"), "must be the queueId of a message of this account")
            continue
        recipients = recipients_of(context.store.reader, message)
        recipient = recipients[0] if given.recipient is UNSET else given.recipient
        named = next((each for each in recipients if each.lower() == recipient.lower()), None)
        if named is None:
            faults.add(at.member("recipient"), "must be a recipient of the message")
        else:
            found.append(_Arriving(Answer(AnswerKind(given.kind), given.text, given.response), message, named))
    faults.refuse()
    return found


async def _wait(context: Context, rehearsing: Rehearsing, account: str, seconds: int, caller: Token | None) -> None:
    if not seconds:
        return
    # A request that waits counts as a stream.
    with context.streams.share.hold(caller.hash) if caller is not None else nullcontext():
        with trio.move_on_after(min(seconds, LONGEST_WAIT)):
            async with trio.open_nursery() as nursery:

                async def stopping() -> None:
                    await context.stopping.wait()
                    nursery.cancel_scope.cancel()

                nursery.start_soon(stopping)
                await rehearsing.time.has_passed(account)
                nursery.cancel_scope.cancel()


def _shown(context: Context, rehearsing: Rehearsing, account: str) -> ScriptShown:
    time = sandbox.moved_time(context.store.reader, account)
    steps = tuple(
        StepShown(
            id=each.id,
            server=each.server.value,
            stage=each.stage.value,
            reply=UNSET if each.reply is None else each.reply,
            fault=UNSET if each.fault is None else each.fault.value,
            recipient=UNSET if each.recipient is None else each.recipient,
            times=each.times,
        )
        for each in rehearsing.scripts.waiting(account)
    )
    return ScriptShown(
        account=account, steps=steps, time=TimeShown(ahead=round(time.ahead, 3), passed=round(time.passed, 3))
    )
