"""Replies of Microsoft 365 and Outlook.com, by their words: a part of `known_answers.py`. *pure* data."""

from __future__ import annotations

from functools import partial

from engine.smtp.meanings import (
    AGAIN,
    AUTHENTICATE,
    LOOKED_UP,
    MICROSOFT,
    NO_HOST_NAME,
    REMOVE,
    Answer,
    Meaning,
    Source,
    known,
)

_MICROSOFT_AUTH = Source(
    "https://support.microsoft.com/topic/fix-ndr-error-550-5-7-515-in-outlook-com-34cfe8f8-6fbf-457e-9e8b-9e4dbaf4e0ef",
    LOOKED_UP,
)
_MICROSOFT_DELIST = Source(
    "https://learn.microsoft.com/defender-office-365/external-senders-use-the-delist-portal", LOOKED_UP
)
_MICROSOFT_CONSUMER = Source("https://postmaster.live.com/pm/troubleshooting.aspx", LOOKED_UP)
_MICROSOFT_SUSPICIOUS = Source(
    "https://learn.microsoft.com/exchange/troubleshoot/email-delivery/ndr/fix-error-code-451-4-7-500-699-asxxx-in-"
    "exchange-online",
    LOOKED_UP,
)
_SEND_AS = Meaning(
    "The account may not send as the address in From.",
    "sender",
    "Send From the account's own address, or give the account the right Send As for the other mailbox.",
    MICROSOFT,
)
_NO_SUCH_ADDRESS = Meaning(
    "The recipient's organisation has no such address in Microsoft 365.", "recipient", REMOVE, MICROSOFT
)
_BLOCKED = Meaning(
    "The recipient's organisation blocks the IP address that the mail came from.",
    "recipient",
    "Ask the recipient by another way to allow it.",
    MICROSOFT,
)
_microsoft = partial(known, "Microsoft", MICROSOFT)

MICROSOFT_ANSWERS = (
    Answer(
        "Microsoft",
        ("7.515",),
        r"authentication level|outlook|microsoft",
        "550 5.7.515 Access denied, sending domain EXAMPLE.COM does not meet the required authentication level. The "
        "sender's domain in the 5322.From address does not meet the authentication requirements defined for the "
        "sender. Spf= Fail , Dkim= Pass , DMARC= Fail",
        Meaning(
            "Outlook.com wants SPF, DKIM and DMARC of whoever sends much to it, and not all of them pass. The end of "
            "the reply says which.",
            "sender",
            AUTHENTICATE,
            _MICROSOFT_AUTH,
        ),
    ),
    Answer(
        "Microsoft",
        ("7.509",),
        r"DMARC",
        "550 5.7.509 Access denied, sending domain example.com does not pass DMARC verification and has a DMARC policy "
        "of reject.",
        Meaning(
            "The DMARC policy of the domain in From is to reject mail that is not authenticated, and this was not.",
            "sender",
            "Send From a domain that is yours. If it is, sign with DKIM for it, or have SPF pass for the same domain.",
            MICROSOFT,
        ),
    ),
    Answer(
        "Microsoft",
        (),
        r"part of their network is on our block list",
        "550 5.7.1 Unfortunately, messages from [192.0.2.24] weren't sent. Please contact your Internet service "
        "provider since part of their network is on our block list (S3140). "
        "[DM6NAM12FT056.eop-nam12.prod.protection.outlook.com]",
        Meaning(
            "Outlook.com blocks the IP address that the mail came from, or its neighbours.",
            "network",
            "Have whoever runs the sending server ask Microsoft for its release (https://olcsupport.office.com), or "
            "send another way.",
            _MICROSOFT_CONSUMER,
        ),
    ),
    Answer(
        "Microsoft",
        (),
        r"temporarily rate limited due to IP reputation|\(S775\)",
        "451 4.7.650 The mail server [192.0.2.24] has been temporarily rate limited due to IP reputation. For e-mail "
        "delivery information, see https://postmaster.live.com (S775)",
        Meaning(
            "Outlook.com takes only part of the mail from this IP address, because of its reputation.",
            "network",
            f"{AGAIN} If it lasts, send less at once, or through another server.",
            _MICROSOFT_CONSUMER,
        ),
    ),
    Answer(
        "Microsoft",
        (*(f"5.7.{number}" for number in range(606, 650)), "5.7.511"),
        r"banned|request removal|outlook|microsoft",
        "550 5.7.606 Access denied, banned sending IP [192.0.2.24]. To request removal from this list please visit "
        "https://sender.office.com/ and follow the directions.",
        Meaning(
            "Microsoft 365 has banned the IP address that the mail came from.",
            "network",
            "Have whoever runs the sending server ask for its removal at https://sender.office.com, or send another "
            "way.",
            _MICROSOFT_DELIST,
        ),
    ),
    Answer(
        "Microsoft",
        ("7.708",),
        r"not accepted|low reputation|outlook|microsoft",
        "550 5.7.708 Service unavailable. Access denied, traffic not accepted from this IP. For more information "
        "please go to http://go.microsoft.com/fwlink/?LinkId=526653",
        Meaning(
            "Microsoft 365 takes no mail from this tenant at the moment; it is often new, or on trial.",
            "sender",
            "An administrator asks Microsoft's support to lift it.",
            MICROSOFT,
        ),
    ),
    Answer(
        "Microsoft",
        ("7.750",),
        r"unregistered|outlook|microsoft",
        "550 5.7.750 Service unavailable. Client blocked from sending from unregistered domains.",
        Meaning(
            "The tenant sends much mail from domains that it has not registered with Microsoft 365.",
            "sender",
            "Add the domain in From to the tenant's accepted domains.",
            MICROSOFT,
        ),
    ),
    Answer(
        "Microsoft",
        ("5.7.60",),
        r"SendAsDenied|send as this sender",
        "550 5.7.60 SMTP; Client does not have permissions to send as this sender",
        _SEND_AS,
    ),
    Answer(
        "Microsoft",
        (),
        r"SendAsDenied;|Submission\.Exception:SendAs",
        "554 5.2.252 SendAsDenied; user@example.com not allowed to send as other@example.com; STOREDRV.Submission."
        "Exception:SendAsDeniedException.MapiExceptionSendAsDenied",
        _SEND_AS,
    ),
    Answer(
        "Microsoft",
        (),
        r"concurrent connections limit exceeded|STOREDRV\.Submission.{0,80}throttl|sender thread limit exceeded",
        "432 4.3.2 Concurrent connections limit exceeded. Visit https://aka.ms/concurrent_sending for more "
        "information.",
        Meaning(
            "The mailbox sends over more connections at once than Microsoft 365 allows, which is three.",
            "sender",
            f"See whether another program sends as this mailbox. {AGAIN}",
            MICROSOFT,
        ),
    ),
    Answer(
        "Microsoft",
        ("4.1",),
        r"Recipient address rejected: Access denied",
        "550 5.4.1 Recipient address rejected: Access denied. AS(201806281) "
        "[DM6NAM12FT056.eop-nam12.prod.protection.outlook.com]",
        _NO_SUCH_ADDRESS,
    ),
    Answer(
        "Microsoft",
        (),
        r"RESOLVER\.RST\.|restriction check failed because the sender",
        "550 5.7.133 RESOLVER.RST.SenderNotAuthenticatedForGroup; authentication required; Delivery restriction check "
        "failed because the sender was not authenticated when sending to this group",
        Meaning(
            "The recipient, a group or a restricted mailbox, takes mail only from certain senders.",
            "recipient",
            "Ask the recipient's administrator to allow your address.",
            MICROSOFT,
        ),
    ),
    Answer(
        "Microsoft",
        ("1.10",),
        r"RESOLVER\.ADR|recipient not found",
        "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient user@example.com not found by SMTP address lookup",
        _NO_SUCH_ADDRESS,
    ),
    Answer(
        "Microsoft",
        (),
        r"Message expired, (DNS query failed|connection refused|cannot connect)",
        "550 5.4.316 Message expired, connection refused(Socket error code 10061)",
        Meaning(
            "Microsoft 365 could not reach the recipient's server for as long as it tried.",
            "recipient",
            "Check the domain of the address; if it is right, tell the recipient by another way, or send it again.",
            MICROSOFT,
        ),
    ),
    Answer(
        "Microsoft",
        (),
        r"(some|your) messages .{0,80}limits for how many messages can be sent",
        "421 RP-001 (BAY004-MC1F12) Unfortunately, some messages from 192.0.2.24 weren't sent. Please try again. "
        "We have limits for how many messages can be sent per hour and per day.",
        Meaning(
            "Outlook.com takes only so much mail from this IP address in an hour and in a day.",
            "network",
            f"{AGAIN} If it lasts, send less at once, or through another server.",
            _MICROSOFT_CONSUMER,
        ),
    ),
    Answer(
        "Microsoft",
        (),
        r"TRANSPORT\.RULES\.RejectMessage",
        "550 5.7.1 TRANSPORT.RULES.RejectMessage; the message was rejected by organization policy",
        Meaning(
            "A rule that an administrator has set in Microsoft 365 refuses the message.",
            "recipient",
            "Ask the administrator of the organisation that refuses it, which may be your own.",
            MICROSOFT,
        ),
    ),
    Answer(
        "Microsoft",
        (*(f"4.7.{number}" for number in (*range(500, 700), *range(850, 900)) if not 649 < number < 653),),
        r"please try again later|outlook|microsoft",
        "451 4.7.500 Server busy. Please try again later from [192.0.2.24]. (AS761) "
        "[DB8EUR05FT056.eop-eur05.prod.protection.outlook.com]",
        Meaning(
            "Microsoft mistrusts the IP address that the mail came from, or gets more from it than usual, and takes "
            "only "
            "part of it for now.",
            "network",
            f"{AGAIN} If it lasts, send less at once, or through another server.",
            _MICROSOFT_SUSPICIOUS,
        ),
    ),
    _microsoft(
        "4.7.652",
        r"maximum number of connections|outlook|microsoft",
        "451 4.7.652 The mail server [192.0.2.24] has exceeded the maximum number of connections. (S3115) "
        "[AM6EUR05FT026.eop-eur05.prod.protection.outlook.com]",
        "Outlook.com takes only so many connections at once from this IP address.",
        "network",
        f"{AGAIN} If it lasts, tell whoever runs the sending server.",
    ),
    _microsoft(
        "7.501 7.502 7.503",
        r"spam abuse|banned sender|outlook|microsoft",
        "550 5.7.501 Access denied, spam abuse detected. The sending account has been banned due to detected spam "
        "activity.",
        "Microsoft 365 has barred the account from sending, because its mail looked like spam. Often someone else has "
        "got "
        "into it.",
        "sender",
        "Check the account and change its password; then ask Microsoft's support to release it.",
    ),
    _microsoft(
        "7.506",
        r"HELO",
        "550 5.7.506 Access denied, Bad HELO",
        "The sending server introduces itself with the name of another.",
        "network",
        "Have whoever runs the sending server give it its own host name.",
    ),
    Answer(
        "Microsoft",
        ("7.507",),
        r"rejected by recipient",
        "550 5.7.507 Access denied, rejected by recipient",
        _BLOCKED,
    ),
    Answer(
        "Microsoft",
        ("7.513",),
        r"Customer Block list|outlook|microsoft",
        "550 5.7.513 Service unavailable, Client host [192.0.2.24] blocked by example.com using Customer Block list "
        "(AS16012607)",
        _BLOCKED,
    ),
    _microsoft(
        "7.510",
        r"IPv6",
        "550 5.7.510 Access denied, example.com does not accept email over IPv6",
        "The recipient's organisation takes no mail over IPv6.",
        "network",
        "Have the sending server use IPv4.",
    ),
    _microsoft(
        "7.25",
        r"IPv6 address .{0,60}reverse DNS",
        "450 4.7.25 Access denied, the sending IPv6 address [2001:db8::1] must have a reverse DNS record",
        NO_HOST_NAME,
        "network",
        "Have whoever runs the sending server set its PTR record.",
    ),
    _microsoft(
        "7.512",
        r"RFC 5322",
        "550 5.7.512 Access denied, message must be RFC 5322 section 3.6.2 compliant and include a valid From address",
        "The header has no valid From.",
        "message",
        "Correct From; a message that the engine composes itself has a valid one.",
    ),
    _microsoft(
        "2.121 2.122",
        r"per hour|limit",
        "550 5.2.121 Recipient's per hour message receive limit from specific sender exceeded",
        "The recipient is getting more mail in an hour than Microsoft 365 delivers to one mailbox.",
        "recipient",
        "Send them less in an hour.",
    ),
    _microsoft(
        "",
        r"recipient thread limit exceeded",
        "432 4.3.2 STOREDRV.Deliver; recipient thread limit exceeded",
        "The recipient is getting more mail at once than Microsoft 365 delivers to one mailbox.",
        "recipient",
        f"Send them less at once. {AGAIN}",
    ),
    _microsoft(
        "7.64",
        r"TenantAttribution",
        "550 5.7.64 TenantAttribution; Relay Access Denied",
        "Microsoft 365 does not recognize the sending server as one of the organisation: its connector does not fit.",
        "sender",
        "Have the administrator correct the connector's IP addresses or certificate.",
    ),
    _microsoft(
        "4.14 4.6",
        r"Hop count exceeded|routing loop",
        "554 5.4.14 Hop count exceeded - possible mail loop ATTR34",
        "The mail goes round in a circle between servers.",
        "recipient",
        "Tell the recipient's administrator.",
    ),
    _microsoft(
        "",
        r"PFA agent busy|SuspiciousRemoteServerError|Temporary server error\. Please try again later",
        "451 4.7.700 PFA agent busy, please try again.",
        "Microsoft's servers are busy, or could not reach one another.",
        "provider",
        AGAIN,
    ),
)
"""The first that fits counts."""
