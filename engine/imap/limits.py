"""How much a server may send before we call it hostile, each number with its reason.

The engine holds many accounts in one process, and anybody may run an IMAP server. Whatever goes past one of these is a
`ProtocolError` and the end of that connection, never of the process. Sizes are bytes unless said otherwise.
"""

from __future__ import annotations

LINE_BYTES = 4 * 1024 * 1024
"""One run up to CRLF. The longest honest one is a SEARCH reply: about 7 bytes a UID, so half a million messages."""

LITERAL_BYTES = 4 * 1024 * 1024
"""One literal. Envelopes and mailbox names need kilobytes; whole messages are to be streamed, not gathered here."""

RESPONSE_BYTES = 8 * 1024 * 1024
"""One response with all its literals: a FETCH with several parts, each below the literal limit."""

RESPONSE_TOKENS = 200_000
"""Tokens in one response. 10,000 recipients in an ENVELOPE take 60,000; each token is an object of some 60 bytes."""

RANGES = 200_000
"""Ranges of one set of UIDs that are kept. Removing every second message of a mailbox makes one for each."""

LIST_DEPTH = 128
"""Lists inside lists. Servers stop parsing MIME at about 100 levels; deeper is an attack on whoever walks the tree."""

NUMBER_DIGITS = 20
"""Digits of a number: 64 bits. Python refuses to convert thousands of digits, and no field is wider."""

COLLECTED_WEIGHT = 32 * 1024 * 1024
"""Everything gathered for one command, and everything kept for the next `idle`: about 40,000 mailboxes, or 80,000
EXPUNGE lines."""

UID_BITS = 63
"""Bits of a UID: what the store can hold. The protocol knows 32, and a server that counts on is understood."""

FRAME_WEIGHT = 256
"""What a response weighs beside its bytes, since a short line becomes an object many times its size."""

TOKEN_WEIGHT = 64
"""What one token weighs beside its bytes, for the same reason."""

CAPABILITIES = 1000
"""Names in a CAPABILITY response, kept as long as the connection. Servers have up to 80."""

ID_FIELDS = 30
"""Fields of an ID, sent or kept (RFC 2971 section 3.3)."""

NUMBER_WEIGHT = 40
"""What one number of a SEARCH reply weighs beside its digits; a range of UIDs weighs as much as three."""

STATUS_TEXT = 1000
"""Characters kept of a status line: it ends up in error messages, events and the transcript."""

AUTHENTICATE_ROUNDS = 10
"""Challenges in one login. No mechanism we speak has more than three."""

UNASKED_LITERAL_BYTES = 256 * 1024
"""Under LITERAL+ a longer literal still waits for the server's go-ahead, so that a refusal costs no upload."""

LITERAL_MINUS_BYTES = 4096
"""RFC 7888: under LITERAL- a longer literal must wait for the go-ahead."""

UIDS = 1_000_000
"""Messages in one mailbox. Eight bytes each while a mailbox is compared; the largest real ones hold half as many."""

BODY_PARTS = 1000
"""Parts of one message that are looked at. Mail of people has a handful; digests have hundreds."""
