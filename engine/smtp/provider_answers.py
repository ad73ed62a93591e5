"""Replies of Yahoo, iCloud, GMX, T-Online, Amazon SES and Mimecast, by their words: a part of `known_answers.py`.

*pure* data.
"""

from __future__ import annotations

from engine.smtp.meanings import (
    AGAIN,
    AUTHENTICATE,
    LOOKED_UP,
    NO_HOST_NAME,
    REMOVE,
    Answer,
    Fault,
    Meaning,
    Source,
    known,
)

_YAHOO = Source("https://senders.yahooinc.com/smtp-error-codes/", LOOKED_UP)
_APPLE = Source("https://support.apple.com/102322", LOOKED_UP)
_GMX = Source("https://postmaster.gmx.net/en/error-messages", LOOKED_UP)
_T_ONLINE = Source("https://postmaster.t-online.de/", None)
_SES = Source("https://docs.aws.amazon.com/ses/latest/dg/troubleshoot-error-messages.html", LOOKED_UP)
_MIMECAST = Source(
    "https://mimecastsupport.zendesk.com/hc/en-us/articles/34000709564691-Policies-Mimecast-SMTP-Error-Codes", LOOKED_UP
)


def _of(provider: str, source: Source, words: str, said: str, what: str, fault: Fault, todo: str) -> Answer:
    return known(provider, source, "", words, said, what, fault, todo)


PROVIDER_ANSWERS = (
    # Yahoo and AOL
    Answer(
        "Yahoo",
        (),
        r"^(?!.*permanently deferred).*(\[TSS\d\d\]|\[TS\d\d\]|"
        r"deferred due to (unexpected volume or )?user complaints)",
        "421 4.7.0 [TSS04] Messages from 192.0.2.24 temporarily deferred due to unexpected volume or user complaints - "
        "4.16.55.1; see https://postmaster.yahooinc.com/error-codes",
        Meaning(
            "Yahoo puts off mail from this IP address: it got more than usual, or its users complained.",
            "network",
            f"{AGAIN} Send less at once, and only to those who asked for it. If your provider's server is shared, "
            "tell the provider.",
            _YAHOO,
        ),
    ),
    Answer(
        "Yahoo",
        (),
        r"^(?!.*\[PH\d\d\]).*not accepted for policy reasons",
        "554 5.7.9 Message not accepted for policy reasons. See https://postmaster.yahooinc.com/error-codes",
        Meaning(
            "Yahoo refuses the message: DMARC does not pass, or it looks like spam.",
            "sender",
            AUTHENTICATE,
            _YAHOO,
        ),
    ),
    Answer(
        "Yahoo",
        (),
        r"This user doesn.?t have a (yahoo|\S+) account",
        "554 delivery error: dd This user doesn't have a yahoo.com account (a@yahoo.com) [0] - "
        "mta1234.mail.ne1.yahoo.com",
        Meaning("Yahoo has no account with this address.", "recipient", REMOVE, _YAHOO),
    ),
    # Apple
    Answer(
        "iCloud",
        (),
        r"\[(CS0\d|HM08)\]|rejected due to local policy",
        "554 5.7.1 [CS01] Message rejected due to local policy. Please visit https://support.apple.com/en-us/HT204137",
        Meaning(
            "iCloud refuses the message: its contents or its sender look like spam to it.",
            "message",
            "Compare it with mail that arrives: links, attachments, wording. See that SPF, DKIM and DMARC pass.",
            _APPLE,
        ),
    ),
    _of(
        "Yahoo",
        _YAHOO,
        r"will be permanently deferred",
        "553 5.7.2 [TSS09] All messages from 192.0.2.24 will be permanently deferred; Retrying will NOT succeed. See "
        "https://postmaster.yahooinc.com/error-codes",
        "Yahoo takes no more mail from this IP address: too many complaints, or too much mail that nobody asked for.",
        "network",
        "Send another way, or have whoever runs the sending server ask Yahoo for help (senders.yahooinc.com/contact).",
    ),
    _of(
        "Yahoo",
        _YAHOO,
        r"Yahoo requires all senders to authenticate",
        "550 5.7.9 This mail has been blocked because the sender is unauthenticated. Yahoo requires all senders to "
        "authenticate with either SPF or DKIM.",
        "Yahoo takes no mail that passes neither SPF nor DKIM, and this passed neither.",
        "sender",
        AUTHENTICATE,
    ),
    _of(
        "Yahoo",
        _YAHOO,
        r"\[PH\d\d\]",
        "554 Message not allowed - [PH01] Email not accepted for policy reasons. Please visit "
        "https://postmaster.yahooinc.com/error-codes",
        "Yahoo refuses the contents of the message: they look like phishing or malware, or link to it.",
        "message",
        "Compare it with mail that arrives: links, attachments, wording.",
    ),
    _of(
        "Yahoo",
        _YAHOO,
        r"unresolvable RFC\.?532[12] (from )?domain",
        "451 Message temporarily deferred due to unresolvable RFC.5321 from domain. See "
        "https://senders.yahooinc.com/error-codes#unresolvable-from-domain",
        "Yahoo does not find the sender's domain in DNS.",
        "sender",
        "Check the sender's address, and that its domain has SOA and MX or A records.",
    ),
    _of(
        "Yahoo",
        _YAHOO,
        r"delivery error: dd .{0,40}is no longer valid",
        "554 delivery error: dd a@yahoo.com is no longer valid. [-20] - mta1035.mail.sg3.yahoo.com",
        "Yahoo has closed the recipient's account.",
        "recipient",
        REMOVE,
    ),
    _of(
        "Yahoo",
        _YAHOO,
        r"\[GL0\d\]",
        "421 4.7.0 [GL01] Message from (192.0.2.24) temporarily deferred - 4.16.50",
        "Yahoo puts off mail from an IP address that it does not know yet.",
        "provider",
        AGAIN,
    ),
    _of(
        "iCloud",
        _APPLE,
        r"\[HME1\]|failing both SPF and DKIM",
        "554 5.7.1 [HME1] This message was blocked for failing both SPF and DKIM authentication checks. See "
        "https://support.apple.com/en-us/HT204137 for mailing best practices",
        "iCloud takes no mail that passes neither SPF nor DKIM, and this passed neither.",
        "sender",
        AUTHENTICATE,
    ),
    _of(
        "iCloud",
        _APPLE,
        r"deferred due to excessive volume",
        "421 4.7.1 Messages to a@icloud.com deferred due to excessive volume. Try again later - "
        "https://support.apple.com/en-us/HT204137",
        "iCloud gets too much mail at once for this recipient.",
        "recipient",
        f"Send them less at once. {AGAIN}",
    ),
    _of(
        "GMX, WEB.DE",
        _GMX,
        r"Nemesis ESMTP .{0,120}(block|black) ?listed",
        "554-gmx.net (mxgmx104) Nemesis ESMTP Service not available\n554-No SMTP service\n554-IP address is block "
        "listed.\n"
        "554 For explanation visit https://postmaster.gmx.net/en/case?c=r0201&i=ip&v=192.0.2.24",
        "GMX and WEB.DE block the IP address that the mail came from.",
        "network",
        "Have whoever runs the sending server follow the link in the reply, or send another way.",
    ),
    _of(
        "GMX, WEB.DE",
        _GMX,
        r"Nemesis ESMTP .{0,120}Bad DNS PTR",
        "554-web.de (mxweb112) Nemesis ESMTP Service not available\n554-No SMTP service\n554 Bad DNS PTR resource "
        "record.",
        NO_HOST_NAME,
        "network",
        "Have whoever runs the sending server set its PTR record.",
    ),
    _of(
        "T-Online",
        _T_ONLINE,
        r"IP=[\w.:]{3,45} - (A problem occurred|None/bad reputation|Dialup)",
        "554 IP=192.0.2.24 - A problem occurred. (Ask your postmaster for help or to contact tosa@rx.t-online.de to "
        "clarify.) (BL)",
        "T-Online takes mail only from servers that it knows, and does not know this one, or blocks it.",
        "network",
        "Have whoever runs the sending server write to tosa@rx.t-online.de, or send another way.",
    ),
    _of(
        "Amazon SES",
        _SES,
        r"Maximum sending rate exceeded",
        "454 Throttling failure: Maximum sending rate exceeded.",
        "The account sends more messages a second than Amazon SES lets it.",
        "sender",
        f"{AGAIN} Set smtp.limits.",
    ),
    _of(
        "Amazon SES",
        _SES,
        r"Email address is not verified",
        "554 Message rejected: Email address is not verified. The following identities failed the check in region "
        "EU-WEST-1: me@example.com",
        "Amazon SES sends only from addresses and domains that have been verified there; in its sandbox, only to such.",
        "sender",
        "Verify the address or its domain in the console of Amazon SES, and ask for production access.",
    ),
    _of(
        "Mimecast",
        _MIMECAST,
        r"Anti-Spoofing policy",
        "550 Rejected by header based Anti-Spoofing policy: - https://community.mimecast.com/docs/DOC-1369#550",
        "The recipient's filter takes the mail for forged: it comes from outside, with an address of the recipient's "
        "own "
        "organisation.",
        "recipient",
        "Ask the recipient's administrator to allow the server that you send through.",
    ),
    _of(
        "Mimecast",
        _MIMECAST,
        r"Administrative prohibition",
        "550 Administrative prohibition - envelope blocked - https://community.mimecast.com/docs/DOC-1369#550",
        "A rule of the recipient's organisation blocks the sender.",
        "recipient",
        "Ask the recipient's administrator to allow your address.",
    ),
)
"""The first that fits counts."""
