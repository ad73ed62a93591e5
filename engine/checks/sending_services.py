"""How well-known providers authenticate the mail of a domain. *pure* data.

`source`: a page that says so; `as_of`: the month in which it was last compared. To change an entry, change its `as_of`
too.
"""

from __future__ import annotations

from typing import NamedTuple


class Service(NamedTuple):
    """One provider.

    * `hosts`: its SMTP servers, each with all names below it. `domains`: its own, whose mail only it can sign.
    * `spf`: what its customers put into their SPF records, best first. `selectors`: those of its DKIM keys by default;
      empty: they differ for each customer.
    * `rewrites`: what it does with an author who is not the account that logs in; empty: nothing that is known.
    """

    name: str
    hosts: tuple[str, ...]
    spf: tuple[str, ...]
    selectors: tuple[str, ...]
    source: str
    as_of: str = "2026-11"
    domains: tuple[str, ...] = ()
    rewrites: str = ""


_OUTLOOK_DOMAINS = "outlook.com hotmail.com live.com msn.com hotmail.co.uk hotmail.fr hotmail.de outlook.de outlook.fr"
_YAHOO_DOMAINS = "yahoo.com ymail.com rocketmail.com yahoo.co.uk yahoo.de yahoo.fr yahoo.it yahoo.es yahoo.ca yahoo.in"

SERVICES: tuple[Service, ...] = (
    Service(
        "Google",
        ("smtp.gmail.com", "smtp.googlemail.com", "smtp-relay.gmail.com", "smtp-relay.google.com"),
        ("_spf.google.com",),
        ("google",),
        "https://mxio.io/providers/google-workspace",
        domains=("gmail.com", "googlemail.com"),
        rewrites='puts the account\'s own address into From unless the other is set up under "Send mail as"',
    ),
    Service(
        "Microsoft",
        ("smtp.office365.com", "smtp-mail.outlook.com", "outlook.office365.com", "mail.protection.outlook.com"),
        ("spf.protection.outlook.com",),
        ("selector1", "selector2"),
        "https://mxio.io/providers/microsoft-365",
        domains=tuple(_OUTLOOK_DOMAINS.split()),
        rewrites="refuses another author (5.7.60) unless the account may send as that address",
    ),
    Service(
        "Yahoo",
        ("smtp.mail.yahoo.com", "smtp.bizmail.yahoo.com", "smtp.aol.com"),
        (),
        (),
        "https://senders.yahooinc.com/best-practices/",
        domains=(*_YAHOO_DOMAINS.split(), "aol.com", "aim.com"),
    ),
    Service(
        "iCloud",
        ("smtp.mail.me.com",),
        ("icloud.com",),
        (),
        "https://mxhelper.com/fr/mail-providers/icloud",
        domains=("icloud.com", "me.com", "mac.com"),
    ),
    Service(
        "Fastmail",
        ("smtp.fastmail.com", "smtp.messagingengine.com"),
        ("spf.messagingengine.com",),
        ("fm1", "fm2", "fm3"),
        "https://www.fastmail.help/hc/en-us/articles/360060591153",
        domains=("fastmail.com", "fastmail.fm"),
    ),
    Service(
        "Zoho",
        ("smtp.zoho.com", "smtppro.zoho.com"),
        ("zohomail.com", "zoho.com"),
        ("zmail",),
        "https://domainsecurityscanner.com/guides/zoho-mail",
        domains=("zoho.com", "zohomail.com"),
    ),
    Service(
        "Zoho",
        ("smtp.zoho.eu", "smtppro.zoho.eu"),
        ("zohomail.eu", "zoho.eu"),
        ("zmail",),
        "https://domainsecurityscanner.com/guides/zoho-mail",
    ),
    Service(
        "mailbox.org",
        ("smtp.mailbox.org",),
        ("mailbox.org",),
        ("MBO0001", "MBO0002", "MBO0003", "MBO0004"),
        "https://kb.mailbox.org/de/privat/e-mail-mit-eigener-domain/"
        "spam-reputation-der-eigenen-domain-verbessern-mit-spf-dkim-und-dmarc",
        domains=("mailbox.org",),
    ),
)

USUAL_SELECTORS = ("default", "mail", "dkim", "s1", "k1", "selector1", "google")
"""Where many servers have their DKIM keys; asked for if nothing is known of a server."""


def service_at(host: str) -> Service | None:
    """The provider that runs an SMTP server."""
    name = host.lower().rstrip(".")
    return next((each for each in SERVICES if any(f".{name}".endswith(f".{end}") for end in each.hosts)), None)


def service_of(domain: str) -> Service | None:
    """The provider whose own domain this is."""
    return next((each for each in SERVICES if domain in each.domains), None)
