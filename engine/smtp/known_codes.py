"""What a reply means whose words are those of no provider. *pure* data.

1. `STATUSES`: enhanced status codes (RFC 3463 and its registry).
2. `CATEGORIES`: the category that its words tell (`engine/mail/bounce_categories.py`).
3. `CODES`: reply codes (RFC 5321). 550, 554 and their like are missing: they do not say why.
"""

from __future__ import annotations

import msgspec

from engine.smtp.meanings import (
    AGAIN,
    AUTHENTICATE,
    BOUNCES,
    GREYLISTING,
    LISTED,
    LOOKED_UP,
    REMOVE,
    Fault,
    Meaning,
    Source,
)

_RFC_3463 = Source("https://www.rfc-editor.org/rfc/rfc3463", LOOKED_UP)
_RFC_5321 = Source("https://www.rfc-editor.org/rfc/rfc5321#section-4.2.3", LOOKED_UP)
_REGISTRY = Source("https://www.iana.org/assignments/smtp-enhanced-status-codes", LOOKED_UP)


def _rfc(what: str, fault: Fault, todo: str, source: Source = _RFC_3463) -> Meaning:
    return Meaning(what, fault, todo, source)


_FULL = _rfc("The recipient's mailbox is full.", "recipient", f"Tell the recipient by another way. {AGAIN}")
_NO_MAILBOX = _rfc("There is no mailbox with this address.", "recipient", REMOVE)
_BAD_ADDRESS = _rfc("The recipient's address is not valid.", "recipient", REMOVE)
_NO_DOMAIN = _rfc("The recipient's domain does not exist, or takes no mail.", "recipient", REMOVE)
_TOO_BIG = _rfc("The message is larger than the server allows.", "message", "Send smaller files, or links to them.")
_BUSY = _rfc("The server takes no mail at the moment.", "provider", AGAIN)
_NO_WAY = _rfc("The server cannot reach the recipient's server.", "provider", f"{AGAIN} Check the recipient's domain.")
_PROTOCOL = _rfc("The server did not accept a command of the engine.", "provider", "Report it with the transcript.")
_CONTENT = _rfc("The server cannot take or convert the form of the message.", "message", "Send it in a plainer form.")
_LOGIN = _rfc(
    "The server wants a login, or refuses this one.",
    "sender",
    "Correct the account's login; lastError.hint of the account says how.",
    Source("https://www.rfc-editor.org/rfc/rfc4954#section-6", LOOKED_UP),
)
_POLICY = _rfc(
    "A rule of the server forbids this delivery; its code does not say which.",
    "provider",
    "Read the reply: it may name the rule. If not, ask the postmaster of the recipient's domain.",
)
_PUT_OFF = _rfc(
    "A rule of the server puts this delivery off; its code does not say which. Often the server does not know the "
    "sender yet (greylisting), or gets too much mail at once.",
    "provider",
    AGAIN,
)
_SPF = _rfc("SPF does not pass for the sender's domain.", "sender", AUTHENTICATE, _REGISTRY)
_DKIM = _rfc("No DKIM signature passes, or none that the server accepts.", "sender", AUTHENTICATE, _REGISTRY)

STATUSES = {
    "4.7.0": _PUT_OFF,
    "4.7.1": _PUT_OFF,
    "1.0": _BAD_ADDRESS,
    "1.1": _NO_MAILBOX,
    "1.2": _NO_DOMAIN,
    "1.3": _BAD_ADDRESS,
    "1.4": _rfc("The address fits several mailboxes.", "recipient", "Use the full address."),
    "1.6": _rfc("The mailbox has moved, and no new address is known.", "recipient", REMOVE),
    "1.7": _rfc("The sender's address is not valid.", "sender", "Correct from, or the envelope's sender."),
    "1.8": _rfc(
        "The sender's domain does not exist, or takes no mail.",
        "sender",
        "Check the sender's address, and that its domain has an MX or A record.",
    ),
    "1.10": _rfc("The recipient's domain declares that it takes no mail.", "recipient", REMOVE, _REGISTRY),
    "2.1": _rfc("The recipient's mailbox is disabled.", "recipient", REMOVE),
    "2.2": _FULL,
    "2.3": _TOO_BIG,
    "2.4": _rfc("The mailing list cannot be expanded.", "recipient", "Tell the owner of the list."),
    "3.0": _BUSY,
    "3.1": _rfc("The server has no room left.", "provider", AGAIN),
    "3.2": _BUSY,
    "3.3": _rfc("The server lacks something that the message needs.", "provider", "Send it in a plainer form."),
    "3.4": _TOO_BIG,
    "3.5": _rfc("The server is set up wrongly.", "provider", "Tell its postmaster."),
    "4.1": _NO_WAY,
    "4.2": _NO_WAY,
    "4.3": _rfc("The server cannot look up the recipient's domain.", "provider", AGAIN),
    "4.4": _rfc(
        "The server cannot find the way to the recipient's domain.", "recipient", "Check the domain of the address."
    ),
    "4.5": _rfc("The server has too much mail to deliver.", "provider", AGAIN),
    "4.6": _rfc("The mail goes round in a circle between servers.", "recipient", "Tell the recipient's postmaster."),
    "4.7": _rfc("The message could not be delivered in time.", "provider", "Send it again, or ask the recipient."),
    "5.0": _PROTOCOL,
    "5.1": _PROTOCOL,
    "5.2": _PROTOCOL,
    "5.3": _rfc("The message has more recipients than the server takes at once.", "sender", "Set smtp.limits."),
    "5.4": _PROTOCOL,
    "5.6": _rfc("The server does not take data of this form.", "message", "Send it in a plainer form.", _REGISTRY),
    "6.0": _CONTENT,
    "6.1": _CONTENT,
    "6.2": _CONTENT,
    "6.3": _CONTENT,
    "6.6": _CONTENT,
    "6.7": _rfc("The server does not take addresses with such characters.", "provider", REMOVE, _REGISTRY),
    "7.0": _POLICY,
    "7.1": _POLICY,
    "7.2": _rfc(
        "The mailing list does not take mail from this sender.", "recipient", "Ask the owner of the list to allow it."
    ),
    "7.3": _POLICY,
    "7.7": _rfc("The message was changed on its way, or seems so.", "provider", "Send it again.", _RFC_3463),
    "7.8": _LOGIN,
    "7.9": _LOGIN,
    "7.10": _rfc("The server takes mail only over TLS.", "sender", "Set smtp.secure or smtp.tls.required.", _REGISTRY),
    "7.11": _LOGIN,
    "7.12": _LOGIN,
    "7.13": _rfc("The account is disabled.", "sender", "Ask the provider.", _REGISTRY),
    "7.20": _DKIM,
    "7.21": _DKIM,
    "7.22": _DKIM,
    "7.23": _SPF,
    "7.24": _SPF,
    "7.25": _rfc(
        "The IP address that the mail came from has no matching host name.",
        "network",
        "Have whoever runs the sending server set its PTR record.",
        _REGISTRY,
    ),
    "7.26": _rfc("SPF, DKIM and DMARC do not pass.", "sender", AUTHENTICATE, _REGISTRY),
    "7.27": _rfc(
        "The domain of the sender declares that it takes no mail.", "sender", "Use another sender.", _REGISTRY
    ),
    "7.57": _LOGIN,
    "7.28": _rfc("The server gets too much mail from this sender.", "sender", f"Send less. {AGAIN}", _REGISTRY),
}
"""Meanings by enhanced status code, most without its class: `5.7.8` is `7.8`."""

CATEGORIES = {
    "virus_detected": _rfc("The server found a virus.", "message", "Check the attachments.", BOUNCES),
    "greylisting": _rfc(
        "The server puts off mail from senders that it does not know yet.",
        "provider",
        f"{AGAIN} The second attempt usually succeeds.",
        GREYLISTING,
    ),
    "mailbox_full": msgspec.structs.replace(_FULL, source=BOUNCES),
    "auth_failure": _rfc("SPF, DKIM or DMARC do not pass.", "sender", AUTHENTICATE, BOUNCES),
    "rate_limited": _rfc(
        "The server gets too much at once, in mail or connections.", "sender", f"Send less at once. {AGAIN}", BOUNCES
    ),
    "ip_blacklisted": _rfc("The server blocks the IP address that the mail came from.", "network", LISTED, BOUNCES),
    "domain_blacklisted": _rfc(
        "The server blocks the sender's domain or address.",
        "sender",
        "Look the domain up in the lists that the reply names, and ask the recipient's postmaster for its release.",
        BOUNCES,
    ),
    "geo_blocked": _rfc(
        "The server takes no mail from the country of this IP address.", "network", "Send another way.", BOUNCES
    ),
    "relay_denied": _rfc(
        "The server delivers only for its own addresses, or to senders that have logged in.",
        "sender",
        "Check that the account's smtp has the right host, port and login.",
        BOUNCES,
    ),
    "invalid_address": msgspec.structs.replace(_NO_DOMAIN, source=BOUNCES),
    "user_unknown": msgspec.structs.replace(_NO_MAILBOX, source=BOUNCES),
    "mailbox_disabled": _rfc("The recipient's mailbox is disabled.", "recipient", REMOVE, BOUNCES),
    "spam_blocked": _rfc(
        "The server takes the message for spam.",
        "message",
        "Compare it with mail that arrives: links, attachments, wording. See that SPF, DKIM and DMARC pass.",
        BOUNCES,
    ),
}
"""Meanings by the category that the words of a reply tell. `server_error` and `policy_blocked` say too little."""

CODES = {
    421: _rfc("The server closes the connection, for now.", "provider", AGAIN, _RFC_5321),
    450: _rfc("The mailbox is not available at the moment.", "provider", AGAIN, _RFC_5321),
    451: _rfc("The server has an error at the moment.", "provider", AGAIN, _RFC_5321),
    452: _rfc("The server has no room, or takes no more recipients at once.", "provider", AGAIN, _RFC_5321),
    454: _rfc("The server cannot check the login at the moment.", "provider", AGAIN, _LOGIN.source),
    500: msgspec.structs.replace(_PROTOCOL, source=_RFC_5321),
    501: msgspec.structs.replace(_PROTOCOL, source=_RFC_5321),
    502: msgspec.structs.replace(_PROTOCOL, source=_RFC_5321),
    503: msgspec.structs.replace(_PROTOCOL, source=_RFC_5321),
    504: msgspec.structs.replace(_PROTOCOL, source=_RFC_5321),
    521: msgspec.structs.replace(_NO_DOMAIN, source=Source("https://www.rfc-editor.org/rfc/rfc7504", LOOKED_UP)),
    530: _LOGIN,
    534: _LOGIN,
    535: _LOGIN,
    551: _rfc("The recipient is not at this server.", "recipient", REMOVE, _RFC_5321),
    552: _rfc(
        "The mailbox is full, or the message too large.", "recipient", f"Send less, or later. {AGAIN}", _RFC_5321
    ),
    553: _rfc("The server does not allow such an address.", "recipient", REMOVE, _RFC_5321),
    555: msgspec.structs.replace(_PROTOCOL, source=_RFC_5321),
    556: msgspec.structs.replace(_NO_DOMAIN, source=Source("https://www.rfc-editor.org/rfc/rfc7504", LOOKED_UP)),
}
"""Meanings by reply code."""
