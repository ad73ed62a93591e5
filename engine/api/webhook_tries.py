"""Trying a webhook's filter and map on an event, without posting anything."""

from __future__ import annotations

import msgspec

from engine.api.context import Context
from engine.errors import Problem
from engine.http.account_tokens import Access
from engine.http.operation import operation
from engine.schema.webhook_tries import WebhookTried, WebhookTry
from engine.store.tokens import Token
from engine.webhooks.expression_checks import ExpressionError
from engine.webhooks.expressions import Expression
from engine.webhooks.plan import applied


@operation(
    "POST",
    "/v1/webhooks/try",
    access=Access.HANDLER,
    scope="api",
    group="webhook",
    tags=("Webhooks",),
    errors={404: "There is no such event, or it is no longer kept."},
)
async def try_expressions(context: Context, body: WebhookTry, *, caller: Token) -> WebhookTried:
    """Try a filter and a map on an event.

    Nothing is posted or changed. Try them before you give them to an endpoint: an event that they do not fit is parked.
    """
    found = context.streams.journal.page(body.seq - 1, 1, caller.account).entries
    if not found or found[0][0] != body.seq:
        raise Problem(404, "There is no such event")
    seq, _, name, event = found[0]
    try:
        made = applied(_compiled(body.filter), _compiled(body.map), event)
    except ExpressionError as error:
        return WebhookTried(seq=seq, event=name, passes=False, error=str(error))
    if made is None:
        return WebhookTried(seq=seq, event=name, passes=False)
    return WebhookTried(seq=seq, event=name, passes=True, body=msgspec.json.decode(made))


def _compiled(text: str | None) -> Expression | None:
    return None if text is None else Expression(text)
