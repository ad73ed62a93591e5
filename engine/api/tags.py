"""The groups in which the documentation shows the operations, in its order, and what each is about (Markdown)."""

from __future__ import annotations

from engine.sandbox import script


def _sandbox_recipients() -> str:
    rows = "\n".join(f"| `{pattern}sandbox.example` | {meaning} |" for pattern, meaning in script.describe())
    return f"""\
The engine answers a submission once the message is on disk. What happens to it then comes as events
(`docs/events.md#messages`) with its `queueId`.

In a sandbox account the recipient's address scripts the outcome:

| address | what happens |
|---|---|
{rows}

Any other address at `*.example` has a mailbox. Nothing leaves the process, and all of it is gone when the engine
stops."""


TAGS = {
    "Account": "An account is what you register: the IMAP and SMTP servers of one mailbox, and how to log in to them.",
    "Submit": _sandbox_recipients(),
    "Outbox": "The outbox lists every message from its submission until the engine removes its record.",
    "Settings": "These settings are for the whole engine; a change applies at once.",
    "Token": "Tokens are issued and revoked on the command line (`docs/operate.md#tokens`).",
    "Webhooks": "What webhooks do, sign and promise is in `docs/events.md#webhooks`.",
    "Events": "The rules, the streams and every event are in `docs/events.md`.",
}
"""What there is to say about each group, by its name."""
