"""Replies of Gmail, Microsoft, Yahoo and iCloud, by their words: a part of `known_answers.py`. *pure* data."""

from __future__ import annotations

from engine.smtp.meanings import AGAIN, AUTHENTICATE, GOOGLE, LOOKED_UP, MICROSOFT, REMOVE, Answer, Meaning, Source

_GOOGLE_SENDERS = Source("https://support.google.com/a/answer/81126", LOOKED_UP)
_MICROSOFT_AUTH = Source(
    "https://support.microsoft.com/topic/fix-ndr-error-550-5-7-515-in-outlook-com-34cfe8f8-6fbf-457e-9e8b-9e4dbaf4e0ef",
    LOOKED_UP,
)
_MICROSOFT_DELIST = Source(
    "https://learn.microsoft.com/defender-office-365/external-senders-use-the-delist-portal", None
)
_MICROSOFT_CONSUMER = Source("https://sendersupport.olc.protection.outlook.com/pm/troubleshooting.aspx", None)
_YAHOO = Source("https://senders.yahooinc.com/smtp-error-codes/", LOOKED_UP)
_APPLE = Source("https://support.apple.com/102322", LOOKED_UP)


def _google_authentication(status: str, words: str, said: str, what: str, todo: str) -> Answer:
    return Answer("Gmail", tuple(status.split()), words, said, Meaning(what, "sender", todo, GOOGLE))


PROVIDER_ANSWERS = (
    # Gmail
    _google_authentication(
        "7.26",
        r"DMARC policy",
        "550-5.7.26 Unauthenticated email from example.com is not accepted due to\n550-5.7.26 domain's DMARC policy. "
        "Please contact the administrator of\n550 5.7.26 example.com domain if this was a legitimate mail. - gsmtp",
        "The DMARC policy of the domain in From tells servers to refuse mail that is not authenticated, and this was "
        "not.",
        "Send From a domain that is yours. If it is, sign with DKIM for it, or have SPF pass for the same domain.",
    ),
    _google_authentication(
        "7.26",
        r"hard fail policy",
        "550-5.7.26 The MAIL FROM domain [example.com] has an SPF record with a hard\n550-5.7.26 fail policy (-all) "
        "but it fails to pass SPF checks with the ip:\n550 5.7.26 [192.0.2.24]. - gsmtp",
        "The SPF record of the sender's domain ends with -all, and does not name the IP address that the mail came "
        "from.",
        "Add the servers you send through to the SPF record, or send through those that it names.",
    ),
    _google_authentication(
        "7.26",
        r"^(?!.*(DMARC policy|hard fail policy)).*(gsmtp|google|unauthenticated|authentication information)",
        "550-5.7.26 Your email has been blocked because the sender is unauthenticated.\n550-5.7.26 Gmail requires all "
        "senders to authenticate with either SPF or DKIM.\n550 5.7.26 - gsmtp",
        "Gmail takes no mail that passes neither SPF nor DKIM, and this passed neither.",
        AUTHENTICATE,
    ),
    _google_authentication(
        "7.27",
        r"\bSPF\b|gsmtp|google",
        "550-5.7.27 Your email has been blocked because the sender is unauthenticated.\n550-5.7.27 Gmail requires all "
        "senders to authenticate with SPF.\n550-5.7.27 Authentication results:\n550 5.7.27 SPF [example.com] with ip: "
        "[192.0.2.24] = Did not pass - gsmtp",
        "Gmail wants SPF of whoever sends much to it, and the mail did not pass it.",
        "Publish an SPF record for the domain of the envelope sender that names the servers you send through.",
    ),
    _google_authentication(
        "7.30",
        r"\bDKIM\b|gsmtp|google",
        "550-5.7.30 Your email has been blocked because the sender is unauthenticated.\n550-5.7.30 Gmail requires all "
        "senders to authenticate with DKIM.\n550 5.7.30 DKIM = Did not pass - gsmtp",
        "Gmail wants a DKIM signature of whoever sends much to it, and there is none that passes.",
        "Have your provider sign mail with DKIM for the domain in From, and publish its key.",
    ),
    _google_authentication(
        "7.32",
        r"align|gsmtp|google",
        "550-5.7.32 Your email has been blocked because the From: header is not aligned\n550 5.7.32 with either the "
        "authenticated SPF or DKIM organizational domain. - gsmtp",
        "SPF or DKIM pass, but for another domain than the one in From.",
        "Have DKIM sign for the domain in From, or use an envelope sender of the same domain.",
    ),
    _google_authentication(
        "7.31 7.40",
        r"\bDMARC\b|gsmtp|google",
        "550-5.7.40 Your email has been blocked because the sending domain does not have a\n550 5.7.40 DMARC record, "
        "or the DMARC record does not specify a DMARC policy. - gsmtp",
        "The domain in From has no DMARC record, or one without a policy.",
        'Publish a TXT record at _dmarc. of the domain, at least "v=DMARC1; p=none".',
    ),
    _google_authentication(
        "7.25",
        r"\bPTR\b|gsmtp|google",
        "550-5.7.25 [192.0.2.24] The IP address sending this message does not have a PTR\n550 5.7.25 record setup, or "
        "the corresponding forward DNS entry does not match. - gsmtp",
        "The IP address that the mail came from has no host name, or one that does not lead back to it.",
        "Have whoever runs the sending server set its PTR record, and an A or AAAA record that matches.",
    ),
    Answer(
        "Gmail",
        ("7.28",),
        r"unusual rate|gsmtp|google",
        "421-4.7.28 Gmail has detected an unusual rate of unsolicited mail originating from\n421 4.7.28 your IP "
        "address. To protect our users from spam, mail sent from your IP address has been temporarily rate limited. - "
        "gsmtp",
        Meaning(
            "Gmail gets more unwanted mail than usual from this sender, and takes only part of it for now.",
            "sender",
            f"{AGAIN} Send less, and only to those who asked for it; the reports at postmaster.google.com show why.",
            _GOOGLE_SENDERS,
        ),
    ),
    Answer(
        "Gmail",
        ("4.2.2", "5.2.2"),
        r"out of storage|over quota|gsmtp|google",
        "452-4.2.2 The recipient's inbox is out of storage space. Please direct the\n452 4.2.2 recipient to "
        "https://support.google.com/mail/?p=OverQuotaTemp - gsmtp",
        Meaning(
            "The storage of the recipient's Google account is full. It is shared with Drive and Photos.",
            "recipient",
            f"Tell the recipient by another way. {AGAIN}",
            GOOGLE,
        ),
    ),
    Answer(
        "Gmail",
        ("2.1",),
        r"is receiving (mail|email) (too quickly|at a rate)",
        "450-4.2.1 The user you are trying to contact is receiving email too quickly.\n450 4.2.1 Please resend your "
        "message at a later time. - gsmtp",
        Meaning(
            "The recipient is getting more mail than Gmail delivers to one mailbox.",
            "recipient",
            f"Send them less at once. {AGAIN}",
            GOOGLE,
        ),
    ),
    Answer(
        "Gmail",
        ("2.1",),
        r"(account|inbox) that you tried to reach is (disabled|inactive)",
        "550 5.2.1 The email account that you tried to reach is disabled. Learn more at "
        "https://support.google.com/mail/?p=DisabledUser - gsmtp",
        Meaning("Google has disabled the recipient's account.", "recipient", REMOVE, GOOGLE),
    ),
    Answer(
        "Gmail",
        (),
        r"account that you tried to reach does not exist",
        "550-5.1.1 The email account that you tried to reach does not exist. Please try\n550-5.1.1 double-checking the "
        "recipient's email address for typos or\n550 5.1.1 unnecessary spaces. - gsmtp",
        Meaning("Gmail has no account with this address.", "recipient", REMOVE, GOOGLE),
    ),
    Answer(
        "Gmail",
        ("7.0",),
        r"IP not in whitelist|suspicious due to the very low reputation|unsolicited mail originating",
        "421-4.7.0 [192.0.2.24      15] Our system has detected that this message is\n421-4.7.0 suspicious due to the "
        "very low reputation of the sending IP address.\n421 4.7.0 - gsmtp",
        Meaning(
            "Gmail mistrusts the IP address that the mail came from.",
            "network",
            f"{AGAIN} If it lasts, send through a server with a better reputation; see postmaster.google.com.",
            _GOOGLE_SENDERS,
        ),
    ),
    Answer(
        "Gmail",
        ("7.1",),
        r"likely unsolicited mail|likely suspicious due to the very low reputation",
        "550-5.7.1 [192.0.2.22      18] Our system has detected that this message is\n550-5.7.1 likely unsolicited "
        "mail. To reduce the amount of spam sent to Gmail,\n550 5.7.1 this message has been blocked. - gsmtp",
        Meaning(
            "Gmail takes the message for spam, because of its contents or of where it came from.",
            "message",
            "Compare it with mail that arrives: links, attachments, wording. See that SPF, DKIM and DMARC pass.",
            _GOOGLE_SENDERS,
        ),
    ),
    Answer(
        "Gmail",
        ("7.1",),
        r"Messages missing a valid messageId|multiple .{0,20} headers|RFC 5322",
        "550-5.7.1 [192.0.2.22] Messages with multiple addresses in From: header are not\n550 5.7.1 accepted, as they "
        "do not comply with RFC 5322. - gsmtp",
        Meaning(
            "The header of the message breaks the rules of RFC 5322: a field is missing, wrong, or there twice.",
            "message",
            "Correct the header; a message that the engine composes itself has none of these faults.",
            GOOGLE,
        ),
    ),
    Answer(
        "Gmail",
        (),
        r"TLS required for RCPT domain",
        "421 4.7.0 TLS required for RCPT domain, closing connection. - gsmtp",
        Meaning(
            "The recipient's domain takes mail only over TLS, and the connection had none.",
            "sender",
            "Set smtp.secure or smtp.tls.required of the account.",
            GOOGLE,
        ),
    ),
    # Microsoft
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
        (*(f"7.{number}" for number in range(606, 650)), "7.511", "7.513"),
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
        Meaning(
            "The account may not send as the address in From.",
            "sender",
            "Send From the account's own address, or give the account the right Send As for the other mailbox.",
            MICROSOFT,
        ),
    ),
    Answer(
        "Microsoft",
        (),
        r"SendAsDenied;|Submission\.Exception:SendAs",
        "554 5.2.252 SendAsDenied; user@example.com not allowed to send as other@example.com; STOREDRV.Submission."
        "Exception:SendAsDeniedException.MapiExceptionSendAsDenied",
        Meaning(
            "The account may not send as the address in From.",
            "sender",
            "Send From the account's own address, or give the account the right Send As for the other mailbox.",
            MICROSOFT,
        ),
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
        Meaning(
            "The recipient's organisation has no such address in Microsoft 365.",
            "recipient",
            REMOVE,
            MICROSOFT,
        ),
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
        Meaning(
            "The recipient's organisation has no such address in Microsoft 365.",
            "recipient",
            REMOVE,
            MICROSOFT,
        ),
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
    # Yahoo and AOL
    Answer(
        "Yahoo",
        (),
        r"\[TSS0\d\]|\[TS0\d\]|deferred due to (unexpected volume or )?user complaints",
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
        r"not accepted for policy reasons",
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
        r"\[(CS0\d|HM08|HME1)\]|rejected due to local policy",
        "554 5.7.1 [CS01] Message rejected due to local policy. Please visit https://support.apple.com/en-us/HT204137",
        Meaning(
            "iCloud refuses the message: its contents or its sender look like spam to it.",
            "message",
            "Compare it with mail that arrives: links, attachments, wording. See that SPF, DKIM and DMARC pass.",
            _APPLE,
        ),
    ),
)
"""The first that fits counts."""
