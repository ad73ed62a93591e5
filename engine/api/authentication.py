"""Links to the form in which people connect their mailbox."""

from __future__ import annotations

from engine.accounts.form_links import LinkTooLong, NoServiceUrl
from engine.api.context import Context
from engine.errors import Problem
from engine.field_errors import invalid
from engine.http.account_tokens import Access
from engine.http.operation import operation
from engine.schema.authentication import AuthenticationForm, AuthenticationFormCreated
from engine.store.tokens import Token


@operation(
    "POST",
    "/v1/authentication/form",
    access=Access.HANDLER,
    scope="api",
    tags=("Account",),
    errors={
        400: "The link would be too long (`LinkTooLong`): use shorter URLs, or fewer folders.",
        409: "The engine does not know where browsers reach it (`MissingServiceURLSetup`): set `serviceUrl`.",
    },
)
async def create(context: Context, body: AuthenticationForm, *, caller: Token) -> AuthenticationFormCreated:
    """Make a link to the form.

    It leads to pages on which a person connects a mailbox (`docs/form.md`). Nothing is stored until they finish. With a
    token for one account, `account` must be that one.
    """
    if caller.account is not None and body.account != caller.account:
        raise Problem(403, "Unauthorized account")
    if body.type and body.type != "imap" and body.type not in context.oauth.book.made:
        raise invalid("type", "is neither imap nor the id of an OAuth2 app")
    try:
        return AuthenticationFormCreated(url=await context.form_links.url(body))
    except LinkTooLong as error:
        raise Problem(400, str(error), code="LinkTooLong") from error
    except NoServiceUrl as error:
        raise Problem(
            409,
            "The link needs the URL at which browsers reach this engine: set serviceUrl with POST /v1/settings",
            code="MissingServiceURLSetup",
        ) from error
