"""How much a server may send before it counts as hostile, each number with its reason.

The engine runs many accounts in one process, and anyone can run an IMAP server. Exceeding a limit raises
`ProtocolError` and ends that connection, never the process. Sizes are in bytes unless noted.
"""

from __future__ import annotations

LINE_BYTES = 4 * 1024 * 1024
"""One run up to CRLF. The longest honest one is a SEARCH reply: at about 7 bytes per UID, half a million messages."""

LITERAL_BYTES = 4 * 1024 * 1024
"""One literal. Envelopes and mailbox names need kilobytes; whole messages are fetched in pieces."""

RESPONSE_BYTES = 8 * 1024 * 1024
"""One response with all its literals, such as a FETCH with several parts, each below the literal limit."""

RESPONSE_TOKENS = 200_000
"""Tokens in one response. 10,000 recipients in an ENVELOPE take 60,000; each token is an object of about 60 bytes."""

RANGES = 200_000
"""Ranges stored of one set of UIDs. If every second message of a mailbox is removed, each is a range."""

LIST_DEPTH = 128
"""Nested lists. Servers stop parsing MIME at about 100 levels; deeper nesting is an attack on code that walks it."""

NUMBER_DIGITS = 20
"""Digits of a number: 64 bits. Python refuses to convert thousands of digits, and no field is wider."""

COLLECTED_WEIGHT = 32 * 1024 * 1024
"""Everything collected for one command, and everything pending for the next `idle`: about 40,000 mailboxes, or 80,000
EXPUNGE lines."""

UID_BITS = 63
"""Bits of a UID: as many as the store can hold. The protocol has 32; servers that exceed them are tolerated."""

FRAME_WEIGHT = 256
"""What a response weighs in addition to its bytes, since a short line becomes an object many times its size."""

TOKEN_WEIGHT = 64
"""What one token weighs in addition to its bytes, for the same reason."""

CAPABILITIES = 1000
"""Names in a CAPABILITY response, stored for the life of the connection. Servers have up to 80."""

ID_FIELDS = 30
"""Fields of an ID, sent or stored (RFC 2971 section 3.3)."""

NUMBER_WEIGHT = 40
"""What one number of a SEARCH reply weighs in addition to its digits; a range of UIDs weighs as much as three."""

STATUS_TEXT = 1000
"""Characters stored of a status line, which appears in error messages, events and the transcript."""

AUTHENTICATE_ROUNDS = 10
"""Challenges in one login. No mechanism we speak has more than three."""

UNASKED_LITERAL_BYTES = 256 * 1024
"""With LITERAL+ a longer literal still waits for the continuation request, so that a refusal saves the upload."""

LITERAL_MINUS_BYTES = 4096
"""RFC 7888: with LITERAL- a longer literal must wait for the continuation request."""

UIDS = 1_000_000
"""Messages in one mailbox. Eight bytes each while a mailbox is compared; the largest real ones hold half as many."""

BODY_PARTS = 1000
"""Parts of one message that are examined. Personal mail has a handful; digests have hundreds."""
