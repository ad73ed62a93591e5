"""What Google's token endpoint says of an assertion, and what it means. Pure data.

The `error` is mostly `invalid_grant`, whatever is wrong; only the description distinguishes a deleted key from a
missing mailbox. Looked up 2026-11-27:
https://developers.google.com/identity/protocols/oauth2/service-account#error-codes
"""

from __future__ import annotations

import re
from typing import Literal

import msgspec

About = Literal["app", "workspace", "mailbox"]
_CONSOLE = "in the Google Cloud console (IAM & Admin, Service Accounts)"


class Fault(msgspec.Struct, frozen=True):
    """`about`: the app (every mailbox of it is answered the same), one Workspace, or one mailbox."""

    said: re.Pattern[str]
    about: About
    hint: str


def _fault(said: str, about: About, hint: str) -> Fault:
    return Fault(re.compile(said, re.IGNORECASE), about, hint)


FAULTS = (
    _fault(
        r"invalid email or user id",
        "mailbox",
        "Google knows no such mailbox in this Workspace: check the address. A service account cannot open groups, nor "
        "Gmail addresses outside of its Workspace.",
    ),
    _fault(
        r"reasonable timeframe|short-lived token|used too early|has expired",
        "app",
        "Google does not accept the time in the request: set the clock of this machine (NTP).",
    ),
    _fault(
        r"invalid jwt signature|no valid verifier",
        "app",
        "Google does not know the service key: it was deleted or disabled, or belongs to another service account. Make "
        f"a new JSON key {_CONSOLE} and set it on the app as serviceKey.",
    ),
    _fault(
        r"account not found|oauth client was not found|service account .*(?:disabled|deleted)|disabled_client",
        "app",
        f"Google knows no such service account, or it is disabled: check serviceClientEmail {_CONSOLE}.",
    ),
    _fault(
        r"unauthorized to retrieve access tokens|not authorized for any of the scopes|client not authorized",
        "workspace",
        "Domain-wide delegation is missing. In the Google Admin console (Security, API controls, Manage Domain Wide "
        "Delegation), add the service account's client id, of 21 digits, with the scope https://mail.google.com/. It "
        "takes effect within minutes, at most a day. The mailbox must be in that Workspace.",
    ),
)


def fault_of(described: str) -> Fault | None:
    """What a description means, if that is known."""
    return next((each for each in FAULTS if each.said.search(described)), None)
