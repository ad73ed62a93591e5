"""The signatures that a provider keeps for an account."""

from __future__ import annotations

from engine.api.context import Context, find_account
from engine.http.account_tokens import Access
from engine.http.operation import operation
from engine.schema.fields import AccountId
from engine.schema.signatures import Signatures


@operation(
    "GET",
    "/v1/account/{account}/server-signatures",
    access=Access.PATH,
    scope="api",
    group="account",
    tags=("Account",),
)
async def read(context: Context, account: AccountId) -> Signatures:
    """Read the signatures at the provider.

    There are none to read: providers offer signatures only over APIs of their own, and the engine speaks IMAP.
    """
    find_account(context, account)
    return Signatures(signatures=(), signatures_supported=False)
