"""The most likely reason why a well-known provider refused a login. Pure.

A provider that accepts no passwords, or only app passwords, treats the account's password as wrong. Facts as of 2026.
"""

from __future__ import annotations

import re

from engine.accounts import providers
from engine.accounts.providers import Provider

_SIGN_IN = "POST /v1/authentication/form makes a link at which its owner signs in"
_NO_IMAP = re.compile(r"not enabled for IMAP|IMAP (?:access )?is (?:disabled|not enabled|turned off)", re.IGNORECASE)

_HOSTS: tuple[tuple[str, Provider], ...] = (
    ("gmail.com", providers.GMAIL),
    ("googlemail.com", providers.GMAIL),
    ("outlook.com", providers.OUTLOOK),
    ("office365.com", providers.OFFICE),
    ("hotmail.com", providers.OUTLOOK),
    ("office.com", providers.OFFICE),
    ("yahoo.com", providers.YAHOO),
    ("aol.com", providers.AOL),
    ("mail.me.com", providers.ICLOUD),
    ("icloud.com", providers.ICLOUD),
    ("fastmail.com", providers.FASTMAIL),
    ("messagingengine.com", providers.FASTMAIL),
    ("zoho.com", providers.ZOHO),
    ("yandex.com", providers.YANDEX),
    ("yandex.ru", providers.YANDEX),
    ("mail.ru", providers.MAIL_RU),
    ("qq.com", providers.QQ),
)

_MICROSOFT_SCOPES = "https://outlook.office.com/IMAP.AccessAsUser.All and https://outlook.office.com/SMTP.Send"


def hint(host: str, response: str, *, token: bool) -> str | None:
    """What to check after `response` to a login at `host`; None if the provider is unknown.

    `token`: the login used an OAuth2 access token, not a password.
    """
    provider = provider_of(host)
    if provider is None:
        return None
    if provider is providers.GMAIL:
        return _gmail(response, token)
    if provider in (providers.OUTLOOK, providers.OFFICE):
        return _microsoft(token)
    if token:
        return f"{provider.name} refuses the access token: it has expired, or it lacks the scope for mail."
    made_at = (
        f"{provider.name} does not accept account passwords from programs. Create an app password at "
        f"{provider.app_password}"
    )
    if provider in (providers.YAHOO, providers.AOL):
        return f"{made_at}, or connect the mailbox by OAuth2 (scope mail-w): {_SIGN_IN}."
    if provider is providers.ICLOUD:
        return f"{made_at}. The IMAP user is the address, or the part before the @; the SMTP user is the whole address."
    return f"{made_at}."


def provider_of(host: str) -> Provider | None:
    """The well-known provider whose server this is."""
    name = host.lower().rstrip(".")
    return next((each for end, each in _HOSTS if name == end or name.endswith(f".{end}")), None)


def _gmail(response: str, token: bool) -> str:
    if _NO_IMAP.search(response):
        return "IMAP is switched off for this mailbox. Switch it on in Gmail's settings, or ask the administrator to."
    if token:
        return "Gmail refuses the access token: it has expired, or it lacks the scope https://mail.google.com/."
    return (
        "Gmail does not accept account passwords from programs. Create an app password at "
        f"{providers.GMAIL.app_password} (this needs 2-step verification), or connect it by OAuth2: {_SIGN_IN}. "
        "In Google Workspace, the administrator may have switched off IMAP or app passwords."
    )


def _microsoft(token: bool) -> str:
    if token:
        return (
            f"Microsoft refuses the access token: it has expired, or it lacks the scopes {_MICROSOFT_SCOPES}. For an "
            "app that speaks for itself: its service principal needs the object id of the enterprise application, and "
            "FullAccess to the mailbox."
        )
    return (
        "Microsoft does not accept passwords for IMAP, and is phasing them out for SMTP. Connect the mailbox by "
        f"OAuth2: {_SIGN_IN}; or give an access token with the scopes {_MICROSOFT_SCOPES}. An administrator may also "
        "have switched off IMAP for the mailbox."
    )
