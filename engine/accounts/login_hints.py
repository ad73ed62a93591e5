"""The most likely reason why a well-known provider refused a login. Pure.

A provider that accepts no passwords, or only app passwords, treats the account's password as wrong. Facts as of 2026.
"""

from __future__ import annotations

import re

from engine.accounts import providers
from engine.accounts.providers import Provider

_OFF = "SmtpClientAuthentication is disabled"
_NOT_CONNECTED = "authenticated but not connected"
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
        return _microsoft(response, token)
    if token:
        return f"{provider.name} refuses the access token: it has expired, or it lacks the scope for mail."
    made_at = (
        f"{provider.name} does not accept account passwords from programs. Create an app password at "
        f"{provider.app_password}"
    )
    if provider in (providers.YAHOO, providers.AOL):
        return f"{made_at}, or use an OAuth2 access token with the scope mail-w."
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
        f"Gmail does not accept account passwords from programs. Create an app password at "
        f"{providers.GMAIL.app_password} (this needs 2-step verification), or use an OAuth2 access token. In Google "
        "Workspace, the administrator may have switched off IMAP or app passwords."
    )


def _microsoft(response: str, token: bool) -> str:
    if _OFF in response:
        return (
            "SMTP AUTH is switched off for this mailbox or its tenant; the password may be right. An administrator can "
            "switch it on: Set-CASMailbox -SmtpClientAuthenticationDisabled $false."
        )
    if _NOT_CONNECTED in response:
        return (
            "The token is valid, but not for this mailbox: auth.user is another user, the token lacks the scope "
            "https://outlook.office.com/IMAP.AccessAsUser.All, or IMAP is switched off for the mailbox."
        )
    if token:
        return f"Microsoft refuses the access token: it has expired, or it lacks the scopes {_MICROSOFT_SCOPES}."
    return (
        "Microsoft does not accept passwords for IMAP, and is phasing them out for SMTP. Use an OAuth2 access token "
        f"with the scopes {_MICROSOFT_SCOPES}. An administrator may also have switched off IMAP for the mailbox."
    )
