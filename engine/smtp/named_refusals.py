"""Refusals that mean something other than they say, each under a name of its own. *pure* data, and how it is filled in.

Microsoft answers to an administrator's setting as to a wrong password, and accepts another user's token without opening
the mailbox. No other server uses these words, so the words alone identify them; each has its source.
"""

from __future__ import annotations

import re

import msgspec

_FORM = "POST /v1/authentication/form makes a link at which the owner of the mailbox signs in."
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*@[A-Za-z0-9.-]+")
_QUOTES = re.compile("['\u2018-\u201b]")


class Who(msgspec.Struct, frozen=True):
    """Whom a login concerned: the mailbox that it named, and who signed in, None if unknown."""

    mailbox: str
    signed_in: str | None = None


class Named(msgspec.Struct, frozen=True):
    """`code` is shown as `serverResponseCode`, the next two under their own names. `source`: where it was looked up."""

    code: str
    description: str
    hint: str
    source: str


class _Entry(msgspec.Struct, frozen=True):
    """`said`: the words. `{mailbox}` and `{signed_in}` are filled into the texts, `{argument}` into the commands.

    `looked_up`: when, and where.
    """

    said: re.Pattern[str]
    code: str
    description: str
    hint: str
    looked_up: str


def _entry(said: str, code: str, description: str, hint: str, looked_up: str) -> _Entry:
    return _Entry(re.compile(said, re.IGNORECASE), code, description, hint, looked_up)


_SMTP_AUTH = (
    "2026-11-27, https://learn.microsoft.com/en-us/exchange/clients-and-mobile-in-exchange-online/"
    "authenticated-client-smtp-submission"
)
_OAUTH = (
    "2026-11-27, https://learn.microsoft.com/en-us/exchange/client-developer/legacy-protocols/"
    "how-to-authenticate-an-imap-pop-smtp-application-by-using-oauth"
)
_ENTRIES = (
    _entry(
        r"authenticated but not connected",
        "MailboxMismatch",
        "Microsoft accepts the sign-in of {signed_in}, but does not open the mailbox {mailbox} for it.",
        "{mismatch} Else check that IMAP is on for the mailbox (Set-CASMailbox {argument} -ImapEnabled $true), that it "
        "has a licence, and that the token has the scope https://outlook.office.com/IMAP.AccessAsUser.All; an app-only "
        "app needs Add-MailboxPermission for its service principal. If it was connected before, this may pass.",
        _OAUTH,
    ),
    _entry(
        r"SmtpClientAuthentication is disabled for the Mailbox",
        "SmtpAuthDisabled",
        "SMTP AUTH is switched off for {mailbox}. This says nothing about the login.",
        "An administrator switches it on in Exchange Online PowerShell: Set-CASMailbox -Identity {argument} "
        "-SmtpClientAuthenticationDisabled $false. It takes effect within an hour.",
        _SMTP_AUTH,
    ),
    _entry(
        r"SmtpClientAuthentication is disabled",
        "SmtpAuthDisabled",
        "SMTP AUTH is switched off for the whole tenant of {mailbox}. This says nothing about the login.",
        "An administrator switches it on for this mailbox in Exchange Online PowerShell: Set-CASMailbox -Identity "
        "{argument} -SmtpClientAuthenticationDisabled $false; or for the tenant: Set-TransportConfig "
        "-SmtpClientAuthenticationDisabled $false. It takes effect within an hour.",
        _SMTP_AUTH,
    ),
    _entry(
        r"\b5\.7\.139\b(?!.*credentials were incorrect)",
        "SmtpAuthDisabled",
        "A policy of the tenant (security defaults, conditional access, an authentication policy) refuses this way to "
        "log in as {mailbox}. This says nothing about the password.",
        "An administrator sees the reason in the sign-in log of Microsoft Entra, and switches SMTP AUTH on for this "
        f"mailbox: Set-CASMailbox -Identity {{argument}} -SmtpClientAuthenticationDisabled $false. {_FORM}",
        _SMTP_AUTH,
    ),
    _entry(
        r"5\.7\.30\b.*Basic authentication|Basic authentication is not supported",
        "PasswordsNotAccepted",
        "Microsoft no longer accepts passwords for sending as {mailbox}, right or wrong.",
        f"Connect the mailbox by OAuth2. {_FORM}",
        "2026-11-27, https://techcommunity.microsoft.com/blog/exchange/"
        "exchange-online-to-retire-basic-auth-for-client-submission-smtp-auth/4114750",
    ),
)


def named(response: str, who: Who) -> Named | None:
    """What a refusal really means; None: what it says."""
    text = " ".join(response.split())
    entry = next((each for each in _ENTRIES if each.said.search(text)), None)
    if entry is None:
        return None
    texts = {
        "mailbox": who.mailbox or "this user",
        "argument": _argument(who.mailbox) if who.mailbox else "MAILBOX",
        "signed_in": who.signed_in or "the user of the token",
        "mismatch": _mismatch(who),
    }
    source = entry.looked_up.partition(", ")[2]
    return Named(entry.code, entry.description.format_map(texts), entry.hint.format_map(texts), source)


def _argument(name: str) -> str:
    """A name as one argument of a PowerShell command, whose quotes the typographic ones end too."""
    if _PLAIN.fullmatch(name):
        return name
    printable = "".join(each for each in name if each.isprintable())
    return "'" + _QUOTES.sub(r"\g<0>\g<0>", printable) + "'"


def _mismatch(who: Who) -> str:
    if who.signed_in is None:
        return f"Usually someone other than {who.mailbox} has signed in: have {who.mailbox} do it."
    if who.signed_in.casefold() == who.mailbox.casefold():
        return f"Both are {who.mailbox}, so the user is right."
    return (
        f"{who.signed_in} has signed in, and {who.mailbox} is to be opened. If that is a shared mailbox, give "
        f"{who.signed_in} full access to it (Add-MailboxPermission -Identity {_argument(who.mailbox)} "
        f"-User {_argument(who.signed_in)} -AccessRights FullAccess); if not, have {who.mailbox} sign in."
    )
