"""What a refused login at a well-known provider is most likely about. Pure.

Providers answer a right password with the words for a wrong one where they take none at all, or another one for
programs. Facts as of 2026.
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
    """What to look at after `response` to a login at `host`; None where nothing is known of it.

    `token`: it was made with an OAuth2 access token, not with a password.
    """
    name = host.lower().rstrip(".")
    provider = next((each for end, each in _HOSTS if name == end or name.endswith(f".{end}")), None)
    if provider is None:
        return None
    if provider is providers.GMAIL:
        return _gmail(response, token)
    if provider in (providers.OUTLOOK, providers.OFFICE):
        return _microsoft(response, token)
    if token:
        return f"{provider.name} refuses the access token: it has expired, or it lacks the scope for mail."
    made_at = (
        f"{provider.name} takes no account password from programs. Make an app password at {provider.app_password}"
    )
    if provider in (providers.YAHOO, providers.AOL):
        return f"{made_at}, or give an OAuth2 access token with the scope mail-w."
    if provider is providers.ICLOUD:
        return f"{made_at}. The IMAP user is the address or the part before its @, the SMTP user the whole address."
    return f"{made_at}."


def _gmail(response: str, token: bool) -> str:
    if _NO_IMAP.search(response):
        return (
            "IMAP is switched off for this mailbox: switch it on in Gmail's settings, or have the administrator do it."
        )
    if token:
        return "Gmail refuses the access token: it has expired, or it lacks the scope https://mail.google.com/."
    return (
        f"Gmail takes no account password from programs. Make an app password at {providers.GMAIL.app_password} "
        "(needs 2-step verification), or give an OAuth2 access token. In Google Workspace the administrator may have "
        "switched IMAP or app passwords off."
    )


def _microsoft(response: str, token: bool) -> str:
    if _OFF in response:
        return (
            "SMTP AUTH is switched off for this mailbox or its tenant; the password may be right. An administrator can "
            "switch it on: Set-CASMailbox -SmtpClientAuthenticationDisabled $false."
        )
    if _NOT_CONNECTED in response:
        return (
            "The token is valid, but not for this mailbox: auth.user is another one, the scope "
            "https://outlook.office.com/IMAP.AccessAsUser.All is missing, or IMAP is switched off for the mailbox."
        )
    if token:
        return f"Microsoft refuses the access token: it has expired, or lacks the scopes {_MICROSOFT_SCOPES}."
    return (
        "Microsoft takes no passwords for IMAP, and for SMTP ever fewer. Give an OAuth2 access token with the scopes "
        f"{_MICROSOFT_SCOPES}. An administrator may also have switched IMAP off for the mailbox."
    )
