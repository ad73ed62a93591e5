"""The filter of the setting `inboxNewOnly`: new mail only if it is in the inbox, and every other event. Pure."""

from __future__ import annotations

IN_INBOX = (
    "event != 'messageNew' || data.path == 'INBOX' || data.specialUse == '\\Inbox' || "
    "data.messageSpecialUse == '\\Inbox' || contains(not_null(data.labels, `[]`), '\\Inbox')"
)
"""JMESPath. Gmail's messages in "All Mail" count as in the inbox if they have its label."""
