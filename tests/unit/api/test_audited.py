"""Every operation that may change something either leaves an entry in the audit record or is named here."""

from __future__ import annotations

from engine.api.audited import CHANGES
from engine.api.routes import ROUTES

LEAVE_NONE = {
    # They change no account, setting, token or endpoint.
    ("PUT", "/v1/account/{account}/reconnect"),
    ("PUT", "/v1/account/{account}/sync"),
    ("POST", "/v1/verifyAccount"),
    ("POST", "/v1/webhooks/{webhook}/test"),
    # Mail and positions in the events have records of their own.
    ("POST", "/v1/account/{account}/submit"),
    ("PUT", "/v1/outbox/{queueId}"),
    ("DELETE", "/v1/outbox/{queueId}"),
    ("PUT", "/v1/events/consumers/{consumer}"),
    ("DELETE", "/v1/events/consumers/{consumer}"),
}


def test_no_operation_is_forgotten() -> None:
    changing = {(route.method, route.path) for route, _ in ROUTES if route.method != "GET"}
    assert set(CHANGES) | LEAVE_NONE == changing
    assert not set(CHANGES) & LEAVE_NONE


def test_every_change_has_a_name_of_its_own_and_a_caller() -> None:
    assert len({change.operation for change in CHANGES.values()}) == len(CHANGES)
    assert all(route.scope for route, _ in ROUTES if (route.method, route.path) in CHANGES)
