"""Reads notices in which `notices` finds no recipient with flufl.bounce, which knows the formats of some old systems.

flufl.bounce returns only addresses, and often wrong ones, so only those in the notice's own text count. Its patterns
may take quadratic time in the length of a line, so it gets only a bounded beginning with short lines. It never raises.
"""

from __future__ import annotations

import email
import logging

from engine.mail.dsn import RecipientStatus

LONGEST = 16_384
LONGEST_LINE = 300
log = logging.getLogger("engine.mail")


def second_reading(source: bytes, text: str) -> tuple[RecipientStatus, ...]:
    """The recipients found in a message's source that the notice's `text` also names."""
    # Imported on demand: most processes never see such a notice.
    from flufl.bounce import all_failures

    logging.getLogger("flufl.bounce").setLevel(logging.CRITICAL)
    short = b"\n".join(line[:LONGEST_LINE] for line in source[:LONGEST].splitlines())
    try:
        delayed, failed = all_failures(email.message_from_bytes(short))
    except (LookupError, ValueError, TypeError, AttributeError, AssertionError, RecursionError) as error:
        log.info("flufl.bounce cannot read a message: %r", error)
        return ()
    found = [("failed", each) for each in sorted(failed)] + [("delayed", each) for each in sorted(delayed - failed)]
    named = [(action, raw.decode("ascii", "replace")) for action, raw in found]
    return tuple(
        RecipientStatus(
            recipient=address, original="", action=action, status="", source="", diagnostic="", remote_mta=""
        )
        for action, address in named
        if address.count("@") == 1 and not set(address) & set(' "<>(),;\\') and address in text
    )
