"""The route table: every operation once, with what it takes, what it answers and who handles it.

The Quart app and the OpenAPI document are both made from it.
"""

from __future__ import annotations

from engine.api import account_actions, accounts, outbox, routes_events, settings, submit, tokens
from engine.api.access import Access
from engine.api.openapi import Handler, Route
from engine.schema.account import (
    AccountCreate,
    AccountCreated,
    AccountInfo,
    AccountList,
    AccountQuery,
    AccountRemoved,
    AccountsQuery,
    AccountUpdate,
    AccountUpdated,
)
from engine.schema.account_actions import (
    Autoconfig,
    AutoconfigQuery,
    Flush,
    Flushed,
    Reconnect,
    Reconnected,
    Sync,
    Synced,
    Verified,
    VerifyAccount,
)
from engine.schema.outbox import (
    OutboxDeleted,
    OutboxEntry,
    OutboxPage,
    OutboxQuery,
    OutboxUpdate,
    OutboxUpdated,
    QueueInfo,
    QueueQuery,
    QueueUpdate,
    QueueUpdated,
)
from engine.schema.settings import Settings, SettingsQuery, SettingsUpdate, SettingsUpdated
from engine.schema.submission import DryRun, Submit, SubmitAccepted, SubmitHeaders
from engine.schema.tokens import TokenLog, TokenLogQuery

ROUTES: tuple[tuple[Route, Handler], ...] = (
    (
        Route(
            method="POST",
            path="/v1/account",
            summary="Register a mailbox, or change the one with this id",
            tags=("Account",),
            body=AccountCreate,
            responses={200: AccountCreated},
            scope="api",
            access=Access.HANDLER,
        ),
        accounts.register,
    ),
    (
        Route(
            method="GET",
            path="/v1/account/{account}",
            summary="Read an account and its state",
            tags=("Account",),
            query=AccountQuery,
            responses={200: AccountInfo},
            scope="api",
            access=Access.PATH,
        ),
        accounts.read,
    ),
    (
        Route(
            method="PUT",
            path="/v1/account/{account}",
            summary="Change an account",
            tags=("Account",),
            body=AccountUpdate,
            responses={200: AccountUpdated},
            scope="api",
            access=Access.PATH,
        ),
        accounts.update,
    ),
    (
        Route(
            method="DELETE",
            path="/v1/account/{account}",
            summary="Remove an account; what it has not sent yet ends as cancelled",
            tags=("Account",),
            responses={200: AccountRemoved},
            scope="api",
            access=Access.PATH,
        ),
        accounts.remove,
    ),
    (
        Route(
            method="GET",
            path="/v1/accounts",
            summary="List accounts",
            tags=("Account",),
            query=AccountsQuery,
            responses={200: AccountList},
            scope="api",
            access=Access.HANDLER,
        ),
        accounts.listing,
    ),
    (
        Route(
            method="PUT",
            path="/v1/account/{account}/reconnect",
            summary="Connect anew",
            tags=("Account",),
            body=Reconnect,
            responses={200: Reconnected},
            scope="api",
            access=Access.PATH,
        ),
        account_actions.reconnect,
    ),
    (
        Route(
            method="PUT",
            path="/v1/account/{account}/sync",
            summary="Look into every folder now",
            tags=("Account",),
            body=Sync,
            responses={200: Synced},
            scope="api",
            access=Access.PATH,
        ),
        account_actions.sync,
    ),
    (
        Route(
            method="PUT",
            path="/v1/account/{account}/flush",
            summary="Forget what is known of the mailbox and begin anew",
            tags=("Account",),
            body=Flush,
            responses={200: Flushed},
            scope="api",
            access=Access.PATH,
        ),
        account_actions.flush,
    ),
    (
        Route(
            method="GET",
            path="/v1/logs/{account}",
            summary="Read the protocol log of an account, as plain text",
            tags=("Account",),
            responses={200: None},
            media="text/plain",
            scope="api",
            access=Access.PATH,
        ),
        account_actions.logs,
    ),
    (
        Route(
            method="POST",
            path="/v1/verifyAccount",
            summary="Try the logins of servers without storing anything",
            tags=("Account",),
            body=VerifyAccount,
            responses={200: Verified},
            scope="api",
            access=Access.ALL_ACCOUNTS,
        ),
        account_actions.verify,
    ),
    (
        Route(
            method="GET",
            path="/v1/autoconfig",
            summary="Find the servers of an address",
            tags=("Account",),
            query=AutoconfigQuery,
            responses={200: Autoconfig},
            scope="api",
            access=Access.ALL_ACCOUNTS,
        ),
        account_actions.autoconfig,
    ),
    (
        Route(
            method="POST",
            path="/v1/account/{account}/submit",
            summary="Queue a message for sending; answered once it is on disk",
            tags=("Submit",),
            body=Submit,
            headers=SubmitHeaders,
            large=True,
            responses={200: (SubmitAccepted, DryRun)},
            scope="api",
            access=Access.PATH,
        ),
        submit.submit,
    ),
    (
        Route(
            method="GET",
            path="/v1/outbox",
            summary="List messages; without a state, all that have not ended",
            tags=("Outbox",),
            query=OutboxQuery,
            responses={200: OutboxPage},
            scope="api",
            access=Access.QUERY,
        ),
        outbox.listing,
    ),
    (
        Route(
            method="GET",
            path="/v1/outbox/{queueId}",
            summary="Read one message: each recipient, each try, and what it waits for",
            tags=("Outbox",),
            responses={200: OutboxEntry},
            scope="api",
            access=Access.HANDLER,
        ),
        outbox.read,
    ),
    (
        Route(
            method="PUT",
            path="/v1/outbox/{queueId}",
            summary="Send a waiting message now, move it, or decide a doubt",
            tags=("Outbox",),
            body=OutboxUpdate,
            responses={200: OutboxUpdated},
            scope="api",
            access=Access.HANDLER,
        ),
        outbox.update,
    ),
    (
        Route(
            method="DELETE",
            path="/v1/outbox/{queueId}",
            summary="Cancel a message that has not been sent",
            tags=("Outbox",),
            responses={200: OutboxDeleted},
            scope="api",
            access=Access.HANDLER,
        ),
        outbox.cancel,
    ),
    (
        Route(
            method="GET",
            path="/v1/settings/queue/{queue}",
            summary="Read how full the queue is and whether it is paused",
            tags=("Settings",),
            query=QueueQuery,
            responses={200: QueueInfo},
            scope="api",
            access=Access.QUERY,
        ),
        outbox.queue_info,
    ),
    (
        Route(
            method="PUT",
            path="/v1/settings/queue/{queue}",
            summary="Pause the sending of mail, of all or of one account, or let it go on",
            tags=("Settings",),
            body=QueueUpdate,
            responses={200: QueueUpdated},
            scope="api",
            access=Access.HANDLER,
        ),
        outbox.queue_update,
    ),
    (
        Route(
            method="GET",
            path="/v1/settings",
            summary="Read settings: those named, or all that are no secret",
            tags=("Settings",),
            query=SettingsQuery,
            responses={200: Settings},
            scope="api",
            access=Access.ALL_ACCOUNTS,
        ),
        settings.read,
    ),
    (
        Route(
            method="POST",
            path="/v1/settings",
            summary="Change settings",
            tags=("Settings",),
            body=SettingsUpdate,
            responses={200: SettingsUpdated},
            scope="api",
            access=Access.ALL_ACCOUNTS,
        ),
        settings.update,
    ),
    (
        Route(
            method="GET",
            path="/v1/tokens/{token}/log",
            summary="Read what was changed with a token, newest first",
            tags=("Token",),
            query=TokenLogQuery,
            responses={200: TokenLog},
            scope="api",
            access=Access.ALL_ACCOUNTS,
        ),
        tokens.log,
    ),
    *routes_events.ROUTES,
)
