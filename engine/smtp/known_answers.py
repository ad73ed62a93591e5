"""Replies that are known by their words, some of them only with certain status codes. *pure* data.

First those that say that the sender's quota is used up, then those of the great providers (`google_answers.py`,
`microsoft_answers.py`, `provider_answers.py`), of lists that block, and of other servers. `explanation.py` finds the
one for a reply, and turns to `known_codes.py` if none fits.
"""

from __future__ import annotations

from functools import partial

from engine.smtp.google_answers import GOOGLE_ANSWERS
from engine.smtp.meanings import (
    AGAIN,
    BOUNCES,
    GOOGLE,
    GREYLISTING,
    LISTED,
    LOOKED_UP,
    MICROSOFT,
    NO_HOST_NAME,
    REMOVE,
    Answer,
    Meaning,
    Source,
    known,
)
from engine.smtp.microsoft_answers import MICROSOFT_ANSWERS
from engine.smtp.provider_answers import PROVIDER_ANSWERS

_SPAMHAUS = Source("https://check.spamhaus.org/", LOOKED_UP)
_EXIM = Source("https://docs.cpanel.net/whm/server-configuration/tweak-settings/", None)
_SES = Source("https://docs.aws.amazon.com/ses/latest/dg/manage-quotas.html", LOOKED_UP)
_other = partial(known, "others", BOUNCES)
_SPENT = "The account has sent as much as {0} lets it send in this time."
_WAIT = "Wait until the limit is free again: the engine does so by itself. Set smtp.limits to spread mail beforehand."


def _list(provider: str, words: str, said: str, source: Source, *, status: tuple[str, ...] = ()) -> Answer:
    whose = "a list that the reply names" if provider == "others" else f"a list of {provider}"
    what = f"The IP address that the mail came from is on {whose}, so the server takes no mail from it."
    return Answer(provider, status, words, said, Meaning(what, "network", LISTED, source))


def _quota(provider: str, status: tuple[str, ...], words: str, said: str, source: Source) -> Answer:
    what = _SPENT.format("its provider" if provider == "others" else provider)
    return Answer(provider, status, words, said, Meaning(what, "sender", _WAIT, source), quota=True)


ANSWERS = (
    # What the sender may send. These close the account for a while: `quota_answers.py`.
    _quota(
        "Gmail",
        ("5.4.5", "5.4.6"),
        r"(limit|quota) exceeded|exceeded .{0,80}(limit|quota)",
        "550 5.4.5 Daily user sending limit exceeded. For more information on Gmail sending limits go to "
        "https://support.google.com/a/answer/166852 - gsmtp",
        GOOGLE,
    ),
    _quota(
        "Gmail relay",
        ("5.7.1", "4.7.1"),
        r"SMTP relay (sending )?limit exceeded",
        "550 5.7.1 Daily SMTP relay limit exceeded for customer. - gsmtp",
        GOOGLE,
    ),
    _quota(
        "Microsoft 365",
        (),
        r"SubmissionQuotaExceeded|submission quota was exceeded",
        "554 5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException; Failed to process message due to a "
        "permanent exception",
        MICROSOFT,
    ),
    _quota(
        "Microsoft 365",
        ("5.7.232", "5.7.233", "5.7.705"),
        r"exceeded",
        "550 5.7.705 Access denied, tenant has exceeded threshold",
        MICROSOFT,
    ),
    # Microsoft bars an account that has exceeded a limit of what it may send.
    Answer(
        "Microsoft 365",
        ("5.1.8",),
        r"bad outbound sender",
        "550 5.1.8 Access denied, bad outbound sender AS(42003)",
        Meaning(
            "Microsoft 365 has barred the account from sending: it sent too much, or its mail looked like spam. Often "
            "someone else has got into it.",
            "sender",
            "Have an administrator check the account, change its password, and release it under Restricted entities in "
            "the Microsoft Defender portal.",
            MICROSOFT,
        ),
        quota=True,
    ),
    _quota(
        "Microsoft 365",
        ("5.1.90",),
        r"daily limit",
        "554 5.1.90 Your message can't be sent because you've reached your daily limit for message recipients",
        MICROSOFT,
    ),
    _quota(
        "cPanel, Exim",
        (),
        r"exceeded the max(imum)? (defers and failures|emails) per (hour|day)",
        "550 Domain acme.example has exceeded the max emails per hour (100/100 (100%)) allowed. Message discarded.",
        _EXIM,
    ),
    _quota(
        "Amazon SES",
        (),
        r"Daily message quota exceeded",
        "454 Throttling failure: Daily message quota exceeded.",
        _SES,
    ),
    *GOOGLE_ANSWERS,
    *MICROSOFT_ANSWERS,
    *PROVIDER_ANSWERS,
    # Lists that block
    Answer(
        "Spamhaus",
        (),
        r"spamhaus.{0,80}\bdbl\b|\bdbl\b.{0,80}spamhaus",
        "550 5.7.1 Your email was rejected due to having a domain present in the Spamhaus DBL -- see "
        "https://www.spamhaus.org/dbl/",
        Meaning(
            "A domain in the message, or the sender's own, is on a list of Spamhaus (DBL).",
            "message",
            "Look up there the domain in From and those of all links; take out the one that is listed.",
            _SPAMHAUS,
        ),
    ),
    _list(
        "Spamhaus",
        r"^(?!.*(\bdbl\b|open resolver|returnc/|excessive number of queries)).*spamhaus",
        "554 5.7.1 Service unavailable; Client host [192.0.2.222] blocked using zen.spamhaus.org; "
        "https://www.spamhaus.org/query/ip/192.0.2.222",
        _SPAMHAUS,
    ),
    Answer(
        "Spamhaus",
        (),
        r"spamhaus.{0,120}(open resolver|returnc/|excessive number of queries)",
        "554 5.7.1 Service unavailable; Client host [192.0.2.222] blocked using zen.spamhaus.org; Error: open "
        "resolver; "
        "https://check.spamhaus.org/returnc/pub/198.51.100.1/",
        Meaning(
            "The recipient's server asks Spamhaus through a public resolver or too often, and takes the refusal of an "
            "answer for a listing. The IP address that the mail came from need not be on any list.",
            "provider",
            "Tell the postmaster of the recipient's domain by another way.",
            Source(
                "https://www.spamhaus.com/resource-center/help-for-spamhaus-projects-legacy-blocklist-users", LOOKED_UP
            ),
        ),
    ),
    _list(
        "Abusix",
        r"abusix",
        "554 5.7.1 Service unavailable; Client host [192.0.2.222] blocked using example.combined.mail.abusix.zone",
        Source("https://lookup.abusix.com/", None),
    ),
    _list(
        "Trend Micro",
        r"trend micro|mail-abuse\.com",
        "550 5.7.1 Service unavailable; client [192.0.2.222] blocked using Trend Micro Email Reputation Service",
        Source("https://servicecentral.trendmicro.com/", None),
    ),
    _list(
        "Spamcop",
        r"spamcop",
        "554 5.7.1 Service unavailable; Client host [192.0.2.222] blocked using bl.spamcop.net; Blocked - see "
        "https://www.spamcop.net/bl.shtml?192.0.2.222",
        Source("https://www.spamcop.net/bl.shtml", LOOKED_UP),
    ),
    _list(
        "Barracuda",
        r"barracudacentral|barracuda reputation",
        "550 5.7.1 Service unavailable; Client host [192.0.2.222] blocked using b.barracudacentral.org; "
        "http://www.barracudacentral.org/reputation?pr=1&ip=192.0.2.222",
        Source("https://www.barracudacentral.org/lookups", None),
    ),
    _list(
        "SORBS",
        r"\bsorbs\b",
        "554 5.7.1 Service unavailable; Client host [192.0.2.222] blocked using dnsbl.sorbs.net",
        BOUNCES,
    ),
    _list(
        "UCEPROTECT",
        r"uceprotect",
        "550 5.7.1 Service unavailable; client [192.0.2.222] blocked using dnsbl-1.uceprotect.net",
        Source("https://knowledge.validity.com/hc/en-us/articles/222449667-UCEPROTECT-blocklist", LOOKED_UP),
    ),
    _list(
        "Proofpoint",
        r"proofpoint\.com|cloudmark",
        "550 5.7.0 Local Policy Violation - IP 192.0.2.222 blocked, see https://ipcheck.proofpoint.com/?ip=192.0.2.222",
        Source("https://ipcheck.proofpoint.com/", None),
    ),
    _list(
        "others",
        r"blocked using [\w.-]{3,80}|\b(black)?listed (at|by|in|on) [\w.-]{0,60}\b(dns)?bl\b",
        "554 5.7.1 Service unavailable; Client host [192.0.2.222] blocked using bl.mail.example.net",
        BOUNCES,
    ),
    # Others
    _other(
        "1.0",
        r"sender (address )?(rejected|denied|refused)",
        "550 5.1.0 <me@example.com> sender rejected. Refer to Error Codes section",
        "The server refuses the sender's address, or the server that the mail came from.",
        "sender",
        "Follow the link in the reply, or ask the postmaster of the recipient's domain.",
    ),
    _other(
        "",
        r"\bPTR\b|reverse (dns|hostname)|\brdns\b|cannot find your (reverse )?hostname",
        "450 4.7.1 Client host rejected: cannot find your reverse hostname, [192.0.2.24]",
        NO_HOST_NAME,
        "network",
        "Have whoever runs the sending server set its PTR record.",
    ),
    _other(
        "",
        r"(user|recipient|mailbox) .{0,20}(receiving|received|receive) .{0,30}(too quickly|short (period of )?time|"
        r"too fast)",
        "450 User is receiving mail too quickly",
        "The recipient is getting more mail than the server delivers to one mailbox.",
        "recipient",
        f"Send them less at once. {AGAIN}",
    ),
    _other(
        "",
        r"Requested action not taken: mailbox unavailable",
        "550 5.5.0 Requested action not taken: mailbox unavailable",
        "There is no mailbox with this address, or it takes no mail.",
        "recipient",
        REMOVE,
    ),
    _other(
        "",
        r"account or domain may not exist",
        "550 The mail server could not deliver mail to a@example.com. The account or domain may not exist, they may be "
        "blacklisted, or missing the proper dns entries.",
        "There is no mailbox with this address, or its domain is set up wrongly.",
        "recipient",
        REMOVE,
    ),
    _other(
        "",
        r"not owned by user|not one of your addresses|sender address .{0,40}not (allowed|permitted) .{0,20}(user|"
        r"account)",
        "553 5.7.1 <me@example.com>: Sender address rejected: not owned by user other@example.com",
        "The account may not send as this address.",
        "sender",
        "Send From the account's own address, or have the provider allow the other one.",
    ),
    _other(
        "4.7.0",
        r"cannot authenticate|temporary authentication failure",
        "454 4.7.0 Temporary authentication failure",
        "The server cannot check the login at the moment.",
        "provider",
        AGAIN,
    ),
    _other(
        "7.0",
        r"issue a STARTTLS command",
        "530 5.7.0 Must issue a STARTTLS command first",
        "The server takes mail only over TLS.",
        "sender",
        "Set smtp.secure or smtp.tls.required of the account.",
    ),
    _other(
        "",
        r"insufficient system (storage|resources)",
        "452 4.3.1 Insufficient system storage",
        "The server has no room left.",
        "provider",
        AGAIN,
    ),
    Answer(
        "others",
        (),
        r"gr[ea]ylist|grey[- ]listed",
        "450 4.2.0 <a@example.com>: Recipient address rejected: Greylisted, see "
        "http://postgrey.schweikert.ch/help/example.com.html",
        Meaning(
            "The server puts off mail from senders that it does not know yet (greylisting).",
            "provider",
            f"{AGAIN} The second attempt usually succeeds.",
            GREYLISTING,
        ),
    ),
    Answer(
        "others",
        (),
        r"relay(ing)? access denied|relaying denied|not permitted to relay|unable to relay|list of allowed rcpthosts",
        "554 5.7.1 <a@example.com>: Relay access denied",
        Meaning(
            "The server delivers only for its own addresses, or to senders that have logged in.",
            "sender",
            "Check that the account's smtp has the right host, port and login.",
            BOUNCES,
        ),
    ),
    _quota(
        "others",
        (),
        r"\b(daily|hourly|sending|submission|outgoing|outbound)\b[^.;]{0,40}\b(limit|quota)\b[^.;]{0,40}"
        r"\b(exceeded|reached|used up)",
        "452 4.3.1 Outgoing quota exceeded. Please retry after 7200 seconds",
        BOUNCES,
    ),
    _quota(
        "others",
        (),
        r"\b(exceeded|reached)\b[^.;]{0,40}\b(sending|messaging|daily|hourly|submission|outgoing|outbound)\b"
        r"[^.;]{0,30}\b(limits?|quota)\b",
        "451 4.7.1 You have reached your hourly sending limit",
        BOUNCES,
    ),
)
"""Replies known by their words; the first that fits counts."""
