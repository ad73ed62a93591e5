"""What permissions each operation needs: EmailEngine's as there, ours never wider than their kin."""

from __future__ import annotations

import re
from typing import get_args

from engine.api import operations
from engine.model import token_permissions
from engine.schema import tokens as schema
from engine.store.tokens import SCOPES

GROUPS = """
account: GET /accounts, GET /account/{}, DELETE /account/{}, PUT /account/{}/flush, PUT /account/{}/reconnect,
    PUT /account/{}/sync, GET /account/{}/server-signatures
mailbox: GET /account/{}/mailboxes, POST /account/{}/mailbox, PUT /account/{}/mailbox, DELETE /account/{}/mailbox
message: GET /account/{}/messages, POST /account/{}/search, GET /account/{}/message/{}, PUT /account/{}/message/{},
    DELETE /account/{}/message/{}, PUT /account/{}/message/{}/move, GET /account/{}/message/{}/source,
    POST /account/{}/message, GET /account/{}/text/{}, GET /account/{}/attachment/{}, PUT /account/{}/messages,
    PUT /account/{}/messages/move, PUT /account/{}/messages/delete
submit: POST /account/{}/submit, POST /account/{}/message/{}/submit
outbox: GET /outbox, GET /outbox/{}, DELETE /outbox/{}
export: POST /account/{}/export, GET /account/{}/exports, GET /account/{}/export/{},
    GET /account/{}/export/{}/download, DELETE /account/{}/export/{}
template: GET /templates, POST /templates/template, GET /templates/template/{}, PUT /templates/template/{},
    DELETE /templates/template/{}, DELETE /templates/account/{}
blocklist: GET /blocklists, GET /blocklist/{}, POST /blocklist/{}, DELETE /blocklist/{}
webhook: GET /webhookRoutes, GET /webhookRoutes/webhookRoute/{}
gateway: GET /gateways, GET /gateway/{}, DELETE /gateway/{}
events: GET /changes
diagnostics: GET /stats, GET /autoconfig
logs: GET /logs/{}
None: GET /settings, POST /settings, GET /settings/queue/{}, PUT /settings/queue/{}, GET /oauth2, POST /oauth2,
    GET /oauth2/{}, PUT /oauth2/{}, DELETE /oauth2/{}, POST /oauth2/{}/verify, POST /tokens, GET /tokens,
    GET /tokens/{}, DELETE /tokens/{}, GET /tokens/{}/log, GET /account/{}/oauth-token, PUT /account/{}, POST /account,
    POST /gateway, PUT /gateway/edit/{}, POST /authentication/form, POST /verifyAccount
"""
OTHERWISE = {
    "POST /account/{}/search": "read",
    "PUT /account/{}/messages/delete": "destructive",
    "PUT /account/{}/flush": "destructive",
    "POST /account/{}/submit": "send",
    "POST /account/{}/message/{}/submit": "send",
}
"""Actions that do not follow from the method."""
BY_METHOD = {"GET": "read", "POST": "write", "PUT": "write", "DELETE": "destructive"}


def test_operations_need_what_they_need_at_emailengine() -> None:
    here = {re.sub(r"\{[^}]*\}", "{}", each.name).replace("/v1", "", 1): each.grant for each in operations()}
    for line in GROUPS.replace(",\n    ", ", ").strip().splitlines():
        group, _, names = line.partition(": ")
        for name in names.split(", "):
            action = OTHERWISE.get(name) or BY_METHOD[name.partition(" ")[0]]
            assert here[name] == (action, None if group == "None" else group), name


def test_no_operation_of_ours_gives_what_outlasts_the_token() -> None:
    grants = {each.name: each.grant for each in operations()}
    for name in ("POST /v1/webhooks", "PUT /v1/webhooks/{webhook}", "GET /v1/sandbox/messages"):
        assert grants[name].group is None
    assert grants["PUT /v1/outbox/{queueId}"] == ("send", "outbox")
    assert grants["GET /v1/events"] == grants["GET /v1/events/sse"] == grants["GET /v1/events/stream"]
    assert grants["GET /v1/events"] == ("read", "events")
    assert [each.grant.group for each in operations() if each.websocket] == ["events"]


def test_one_vocabulary() -> None:
    for name in ("Action", "Group"):
        assert get_args(getattr(schema, name)) == get_args(getattr(token_permissions, name))
    assert get_args(schema.Scope) == SCOPES
