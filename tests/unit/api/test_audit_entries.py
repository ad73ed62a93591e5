"""Every operation that may change something either leaves an entry in the audit record or is named here."""

from __future__ import annotations

from engine.api import operations

CHANGES = {(each.method, each.path): each.change for each in operations() if each.change is not None}

LEAVE_NONE = {
    # They change no account, setting, token or endpoint.
    ("PUT", "/v1/account/{account}/reconnect"),
    ("PUT", "/v1/account/{account}/sync"),
    ("POST", "/v1/verifyAccount"),
    ("POST", "/v1/authentication/form"),
    ("POST", "/v1/webhooks/{webhook}/test"),
    ("POST", "/v1/oauth2/{app}/verify"),
    # They only look.
    ("POST", "/v1/webhooks/try"),
    ("POST", "/v1/templates/template/{template}/preview"),
    ("POST", "/v1/account/{account}/search"),
    # Mail and positions in the events have records of their own.
    ("POST", "/v1/account/{account}/submit"),
    ("POST", "/v1/account/{account}/message/{message}/submit"),
    ("PUT", "/v1/outbox/{queueId}"),
    ("DELETE", "/v1/outbox/{queueId}"),
    ("PUT", "/v1/events/consumers/{consumer}"),
    ("DELETE", "/v1/events/consumers/{consumer}"),
}


def test_no_operation_is_forgotten() -> None:
    changing = {(each.method, each.path) for each in operations() if each.method != "GET"}
    assert set(CHANGES) | LEAVE_NONE == changing
    assert not set(CHANGES) & LEAVE_NONE


def test_every_change_has_a_name_of_its_own_and_a_caller() -> None:
    assert len({change.operation for change in CHANGES.values()}) == len(CHANGES)
    assert all(each.scope for each in operations() if (each.method, each.path) in CHANGES)
