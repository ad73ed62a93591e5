"""Well-known mail providers, by the domain of an address or by its mail exchanger. Pure data.

Host names and ports are as published by the providers. The port implies `secure`: 993 and 465 use TLS from the first
byte; 143 and 587 begin in clear text and use STARTTLS.
"""

from __future__ import annotations

import msgspec

from engine.model.limits import PresetName


class Provider(msgspec.Struct, frozen=True):
    """One provider. `app_password`: where to create an app password, None if the usual password works.

    `limits`: the preset for accounts at a domain of the provider's own; `domain_limits` for those at another domain.
    """

    name: str
    imap: tuple[str, int]
    smtp: tuple[str, int]
    app_password: str | None = None
    limits: PresetName | None = None
    domain_limits: PresetName | None = None


GMAIL = Provider(
    "Gmail",
    ("imap.gmail.com", 993),
    ("smtp.gmail.com", 465),
    "https://myaccount.google.com/apppasswords",
    limits="gmail",
    domain_limits="workspace",
)
OUTLOOK = Provider("Outlook", ("outlook.office365.com", 993), ("smtp-mail.outlook.com", 587))
OFFICE = Provider(
    "Microsoft 365",
    ("outlook.office365.com", 993),
    ("smtp.office365.com", 587),
    domain_limits="microsoft365",
)
YAHOO = Provider(
    "Yahoo",
    ("imap.mail.yahoo.com", 993),
    ("smtp.mail.yahoo.com", 465),
    "https://login.yahoo.com/account/security",
)
AOL = Provider("AOL", ("imap.aol.com", 993), ("smtp.aol.com", 465), "https://login.aol.com/account/security")
ICLOUD = Provider(
    "iCloud", ("imap.mail.me.com", 993), ("smtp.mail.me.com", 587), "https://account.apple.com/account/manage"
)
FASTMAIL = Provider(
    "Fastmail",
    ("imap.fastmail.com", 993),
    ("smtp.fastmail.com", 465),
    "https://app.fastmail.com/settings/security/integrations",
)
ZOHO = Provider(
    "Zoho", ("imap.zoho.com", 993), ("smtp.zoho.com", 465), "https://accounts.zoho.com/home#security/app_password"
)
YANDEX = Provider(
    "Yandex", ("imap.yandex.com", 993), ("smtp.yandex.com", 465), "https://id.yandex.com/security/app-passwords"
)
MAIL_RU = Provider(
    "Mail.ru", ("imap.mail.ru", 993), ("smtp.mail.ru", 465), "https://account.mail.ru/user/2-step-auth/passwords"
)
GMX_NET = Provider("GMX", ("imap.gmx.net", 993), ("mail.gmx.net", 465))
GMX_COM = Provider("GMX", ("imap.gmx.com", 993), ("mail.gmx.com", 465))
WEB_DE = Provider("WEB.DE", ("imap.web.de", 993), ("smtp.web.de", 587))
T_ONLINE = Provider("Telekom", ("secureimap.t-online.de", 993), ("securesmtp.t-online.de", 465))
IONOS_DE = Provider("IONOS", ("imap.ionos.de", 993), ("smtp.ionos.de", 465))
IONOS_COM = Provider("IONOS", ("imap.ionos.com", 993), ("smtp.ionos.com", 465))
ORANGE = Provider("Orange", ("imap.orange.fr", 993), ("smtp.orange.fr", 465))
FREE = Provider("Free", ("imap.free.fr", 993), ("smtp.free.fr", 465))
LIBERO = Provider("Libero", ("imapmail.libero.it", 993), ("smtp.libero.it", 465))
MAILBOX_ORG = Provider("mailbox.org", ("imap.mailbox.org", 993), ("smtp.mailbox.org", 465))
POSTEO = Provider("Posteo", ("posteo.de", 993), ("posteo.de", 465))
OVH = Provider("OVH", ("ssl0.ovh.net", 993), ("ssl0.ovh.net", 465))
GANDI = Provider("Gandi", ("mail.gandi.net", 993), ("mail.gandi.net", 465))
COMCAST = Provider("Xfinity", ("imap.comcast.net", 993), ("smtp.comcast.net", 465))
SEZNAM = Provider("Seznam", ("imap.seznam.cz", 993), ("smtp.seznam.cz", 465))
WP_PL = Provider("WP", ("imap.wp.pl", 993), ("smtp.wp.pl", 465))
ONET = Provider("Onet", ("imap.poczta.onet.pl", 993), ("smtp.poczta.onet.pl", 465))
QQ = Provider("QQ Mail", ("imap.qq.com", 993), ("smtp.qq.com", 465), "https://wx.mail.qq.com/account/index")
NETEASE = Provider("163", ("imap.163.com", 993), ("smtp.163.com", 465))

_DOMAINS: dict[Provider, str] = {
    GMAIL: "gmail.com googlemail.com",
    OUTLOOK: "outlook.com hotmail.com live.com msn.com hotmail.co.uk hotmail.fr hotmail.de outlook.de outlook.fr",
    YAHOO: "yahoo.com ymail.com rocketmail.com yahoo.co.uk yahoo.de yahoo.fr yahoo.it yahoo.es yahoo.ca yahoo.in",
    AOL: "aol.com aim.com",
    ICLOUD: "icloud.com me.com mac.com",
    FASTMAIL: "fastmail.com fastmail.fm",
    ZOHO: "zoho.com zohomail.com",
    YANDEX: "yandex.com yandex.ru ya.ru",
    MAIL_RU: "mail.ru inbox.ru list.ru bk.ru internet.ru",
    GMX_NET: "gmx.de gmx.net gmx.at gmx.ch",
    GMX_COM: "gmx.com gmx.us gmx.co.uk mail.com",
    WEB_DE: "web.de",
    T_ONLINE: "t-online.de magenta.de",
    ORANGE: "orange.fr wanadoo.fr",
    FREE: "free.fr",
    LIBERO: "libero.it",
    MAILBOX_ORG: "mailbox.org",
    POSTEO: "posteo.de posteo.net posteo.at posteo.ch",
    COMCAST: "comcast.net",
    SEZNAM: "seznam.cz email.cz post.cz",
    WP_PL: "wp.pl",
    ONET: "onet.pl op.pl poczta.onet.pl",
    QQ: "qq.com foxmail.com",
    NETEASE: "163.com",
}
BY_DOMAIN: dict[str, Provider] = {
    domain: provider for provider, domains in _DOMAINS.items() for domain in domains.split()
}
"""Providers by domain of the address."""

BY_MX: dict[str, Provider] = {
    "google.com": GMAIL,
    "googlemail.com": GMAIL,
    "mail.protection.outlook.com": OFFICE,
    "yahoodns.net": YAHOO,
    "mail.icloud.com": ICLOUD,
    "messagingengine.com": FASTMAIL,
    "zoho.com": ZOHO,
    "yandex.net": YANDEX,
    "mailbox.org": MAILBOX_ORG,
    "posteo.de": POSTEO,
    "kundenserver.de": IONOS_DE,
    "ionos.com": IONOS_COM,
    "mail.ovh.net": OVH,
    "mail.gandi.net": GANDI,
}
"""Providers by the end of the mail exchanger's name."""


def by_mx(exchanger: str) -> Provider | None:
    """The provider behind a mail exchanger."""
    labels = exchanger.lower().rstrip(".").split(".")
    return next((BY_MX[name] for start in range(len(labels)) if (name := ".".join(labels[start:])) in BY_MX), None)
