"""`/unsubscribe`: the page at which recipients leave a list and come back, and the one click of mail programs.

GET only shows a page: scanners follow every link in a mail. A POST that is not from the page's form is the one click of
RFC 8058, whatever its body is: no session, no cookie, no redirect, and the answer is `ok`. The entry and its event are
one commit; if that fails the answer is a 503 or 507, so that a mail program tries again.
"""

from __future__ import annotations

from urllib.parse import urlencode

from quart import Response

from engine.api.context import Context
from engine.edge.client_disconnect import carry_through
from engine.http.client_address import known
from engine.http.html_pages import PageRequest
from engine.store import accounts, blocklists, timeline
from engine.store.blocklists import FOR_ALL, Entry
from engine.store.timeline import About
from engine.store.writer import Tx
from engine.web.mail_links import ListLink, opened
from engine.web.rendering import HEADERS, page, redirect

COME_BACK = "subscribe"
LONGEST_SHOWN = 320
"""Maximum characters of a name or an address that the page shows."""


async def unsubscribe(context: Context, asked: PageRequest) -> Response:
    """The page, or the answer to its button or to the one click of a mail program."""
    data, sig = asked.query.get("data", ""), asked.query.get("sig", "")
    link: ListLink = opened(context.link_keys, data, sig, "unsub")
    if asked.method != "POST":
        return _shown(context, link, urlencode({"data": data, "sig": sig}))
    action = asked.form.get("action")
    await carry_through(_come_back(context, link, asked) if action == COME_BACK else _leave(context, link, asked))
    if action is None:
        return Response("ok", headers={**HEADERS, "Content-Type": "text/plain; charset=utf-8"})
    return redirect(f"?{urlencode({'data': data, 'sig': sig})}")


async def _leave(context: Context, link: ListLink, asked: PageRequest) -> None:
    address, agent = known(asked.address), blocklists.short_agent(asked.headers.get("user-agent"))
    entry = Entry(
        list_id=link.list,
        scope=link.acc if link.own else FOR_ALL,
        recipient=link.rcpt,
        account=link.acc,
        message_id=link.msg,
        source="form" if "action" in asked.form else "one-click",
        reason="unsubscribe",
        remote_address=address,
        user_agent=agent,
        created=context.world.now(),
    )

    def change(tx: Tx) -> None:
        if blocklists.add(tx, entry):
            _tell(context, tx, "listUnsubscribe", link, address, agent)

    await context.store.admit(change)


async def _come_back(context: Context, link: ListLink, asked: PageRequest) -> None:
    address, agent = known(asked.address), blocklists.short_agent(asked.headers.get("user-agent"))
    scopes = (link.acc,) if link.own else (FOR_ALL, link.acc)

    def change(tx: Tx) -> None:
        if blocklists.take_back(tx, scopes, link.list, link.rcpt):
            _tell(context, tx, "listSubscribe", link, address, agent)

    await context.store.admit(change)


def _tell(context: Context, tx: Tx, event: str, link: ListLink, address: str | None, agent: str | None) -> None:
    """Raise the event, unless the account is gone; the entry counts either way."""
    if accounts.exists(tx, link.acc):
        data = {
            "recipient": link.rcpt,
            **({"messageId": link.msg} if link.msg else {}),
            "listId": link.list,
            "remoteAddress": address,
            "userAgent": agent,
        }
        message = timeline.message_by_id(tx, link.acc, link.msg) if link.msg else None
        about = None if message is None else About(message, link.rcpt, {"listId": link.list})
        context.streams.journal.append(tx, event, link.acc, data, about=about)


def _shown(context: Context, link: ListLink, query: str) -> Response:
    left = blocklists.reasons(context.store.reader, link.acc, link.list, [link.rcpt])
    return page(
        "unsubscribe.html",
        leads_to=(),
        left=bool(left),
        recipient=_short(link.rcpt),
        list_id=_short(link.list),
        action=f"?{query}",
    )


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}…"
