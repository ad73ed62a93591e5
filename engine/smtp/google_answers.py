"""Replies of Gmail and Google Workspace, by their words: a part of `known_answers.py`. *pure* data."""

from __future__ import annotations

from functools import partial

from engine.smtp.meanings import (
    AGAIN,
    AUTHENTICATE,
    GOOGLE,
    LOOKED_UP,
    NO_HOST_NAME,
    REMOVE,
    Answer,
    Meaning,
    Source,
    known,
)

_GOOGLE_SENDERS = Source("https://support.google.com/a/answer/81126", LOOKED_UP)
_gmail = partial(known, "Gmail", GOOGLE)


def _google_authentication(status: str, words: str, said: str, what: str, todo: str) -> Answer:
    return _gmail(status, words, said, what, "sender", todo)


GOOGLE_ANSWERS = (
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
    _gmail(
        "7.25 7.23 7.0",
        r"\bPTR\b",
        "550-5.7.25 [192.0.2.24] The IP address sending this message does not have a PTR\n550 5.7.25 record setup, or "
        "the corresponding forward DNS entry does not match. - gsmtp",
        NO_HOST_NAME,
        "network",
        "Have whoever runs the sending server set its PTR record, and an A or AAAA record that matches.",
    ),
    Answer(
        "Gmail",
        ("7.28",),
        r"^(?!.*same Message-ID).*(unusual (rate|amount)|gsmtp|google)",
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
        ("7.0", "7.1"),
        r"IP not in (whitelist|allowlist)|very low reputation of the sending IP|unsolicited mail originating",
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
        r"likely unsolicited (mail|email)",
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
        r"Messages missing a valid|RFC 5322|Encoded-word syntax|unicode character in a disallowed header",
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
    _gmail(
        "2.1",
        r"Peak SMTP relay limit exceeded",
        "450-4.2.1 Peak SMTP relay limit exceeded for this customer. This is a temporary\n450 4.2.1 error. - gsmtp",
        "The organisation sends more at once through Google's SMTP relay than Gmail allows.",
        "sender",
        f"{AGAIN} Send less at once: set smtp.limits.",
    ),
    _gmail(
        "7.28",
        r"same Message-ID",
        "421-4.7.28 Gmail has detected this sender exceeded the quota for sending messages that\n421 4.7.28 have the "
        "same "
        "Message-ID:. To best protect our users, the message has been temporarily rejected. - gsmtp",
        "Gmail has got too many messages with the same Message-ID from this sender.",
        "sender",
        "Give each message an id of its own: leave messageId out, and the engine does so.",
    ),
    _gmail(
        "7.29",
        r"\bTLS\b|gsmtp|google",
        "421-4.7.29 Your email has been rate limited because you're not using a TLS connection.\n421 4.7.29 Gmail "
        "requires "
        "all bulk email senders to use TLS/SSL for SMTP connections. - gsmtp",
        "Gmail wants TLS of whoever sends much to it, and the connection had none.",
        "sender",
        "Set smtp.secure or smtp.tls.required of the account.",
    ),
    _gmail(
        "7.0 7.1",
        r"very low reputation of the sending domain",
        "550-5.7.1 This message is likely suspicious due to the very low reputation of the sending\n550 5.7.1 domain. "
        "To "
        "best protect our users from spam, the message has been blocked. - gsmtp",
        "Gmail mistrusts the sender's domain.",
        "sender",
        f"{AGAIN} Send only to those who asked for it; the reports at postmaster.google.com show why.",
    ),
    _gmail(
        "7.0",
        r"nature of the content or the links",
        "421-4.7.0 This message is suspicious due to the nature of the content or the links\n421 4.7.0 within. To best "
        "protect our users from spam, the message has been blocked. - gsmtp",
        "Gmail takes the message for spam, because of its contents or links.",
        "message",
        "Compare it with mail that arrives: links, attachments, wording.",
    ),
    _gmail(
        "7.0",
        r"Too many login attempts",
        "454 4.7.0 Too many login attempts, please try again later. - gsmtp",
        "The account has logged in too often in a short time.",
        "sender",
        f"{AGAIN} See whether another program logs in with a wrong password.",
    ),
    _gmail(
        "3.4",
        r"number of attachments",
        "552 5.3.4 The number of attachments (600) exceeds Google's limit of 500 attachments. - gsmtp",
        "The message has more attachments than Gmail takes.",
        "message",
        "Send fewer attachments, or one archive.",
    ),
    _gmail(
        "3.4",
        r"header (size|name)|header values|Subject: header",
        "552 5.3.4 Your message exceeded Google's message header size limits. - gsmtp",
        "The header of the message is larger than Gmail takes.",
        "message",
        "Send to fewer recipients in To and Cc, with a shorter subject and fewer header fields of your own.",
    ),
    _gmail(
        "7.0",
        r"relay denied .{0,80}suspended",
        "550 5.7.0 Email relay denied [192.0.2.1]. The sending email account has been temporarily suspended due to "
        "abuse. "
        "- gsmtp",
        "Google has suspended the account from sending, for spam.",
        "sender",
        "Have the administrator check the account, and change its password.",
    ),
    _gmail(
        "7.0 7.1",
        r"Invalid credentials for relay",
        "550-5.7.1 Invalid credentials for relay [192.0.2.1]. The IP address you've registered in\n550 5.7.1 your "
        "Workspace "
        "SMTP Relay service doesn't match the domain of the account this email is being sent from. - gsmtp",
        "Google's SMTP relay does not know the IP address, or it is registered for another domain than the sender's.",
        "sender",
        "Have the administrator add the IP address to the SMTP relay settings of Google Workspace, or log in.",
    ),
    _gmail(
        "7.1",
        r"IPv6 sending guidelines",
        "550 5.7.1 This message does not meet IPv6 sending guidelines regarding PTR records and authentication. - "
        "gsmtp",
        "Over IPv6, Gmail takes mail only from addresses that have a host name, and only if SPF or DKIM pass.",
        "network",
        "Have whoever runs the sending server set its PTR record, or send over IPv4.",
    ),
    _gmail(
        "7.1",
        r"IP you.re using to send (e?mail) is not authorized",
        "550 5.7.1 The IP you're using to send email is not authorized to send email directly to our servers. Use the "
        "SMTP "
        "relay at your service provider instead. - gsmtp",
        "Gmail takes no mail directly from this IP address: it belongs to a home connection, or is on a list.",
        "network",
        "Send through the server of your provider.",
    ),
    _gmail(
        "7.1",
        r"has a policy that prohibits|violates .{0,80} email policy|\bgcdp\b",
        "550 5.7.1 The user or domain that you are sending to (or from) has a policy that prohibits the email that you "
        "sent. Contact your domain administrator for assistance. - gsmtp",
        "A rule that an administrator has set in Google Workspace refuses the message.",
        "recipient",
        "Ask the administrator of the organisation that refuses it, which may be your own.",
    ),
    _gmail(
        "7.14",
        r"web browser|gsmtp|google",
        "534-5.7.14 Please log in via your web browser and\n534 5.7.14 then try again. - gsmtp",
        "Google wants the owner of the account to sign in with a browser first.",
        "sender",
        "Sign in at accounts.google.com and confirm that it is you; or connect the account by OAuth2.",
    ),
    _gmail(
        "7.9",
        r"Application-specific password required",
        "534 5.7.9 Application-specific password required. - gsmtp",
        "The account has two-step verification, so Google does not take its password here.",
        "sender",
        "Make an app password at myaccount.google.com/apppasswords, or connect the account by OAuth2.",
    ),
)
"""The first that fits counts."""
