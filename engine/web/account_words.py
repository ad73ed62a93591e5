"""How an account stands, for people: its reading and its sending, each as a state with a word, and why. Pure."""

from __future__ import annotations

import msgspec

from engine.schema.account import AccountInfo, AccountSummary
from engine.schema.account_condition import LastError

_READING = {
    "connected": "good",
    "authenticationError": "bad",
    "connectError": "warn",
    "disconnected": "warn",
}
_SENDING = {"connected": "good", "authenticationError": "bad", "connectError": "warn"}
TROUBLES = ("bad", "warn")


class Standing(msgspec.Struct, frozen=True):
    """`kind` is how it looks, `word` the key of its chip and sentence, `why` what the server or the network said.

    `reauth_url` is where the owner of the mailbox signs in again, if that is the way out.
    """

    kind: str
    word: str
    why: str = ""
    reauth_url: str = ""

    @property
    def is_trouble(self) -> bool:
        """Whether someone has to do something, or the engine cannot do its work."""
        return self.kind in TROUBLES


def reading(account: AccountInfo | AccountSummary) -> Standing:
    """The state of the IMAP side."""
    error = account.last_error
    if account.state == "unset":
        return Standing("mute", "reading_unset") if error is None else _with("bad", "reading_stopped", error)
    kind = _READING.get(account.state, "mute")
    if kind in TROUBLES:
        return _with(kind, f"reading_{account.state}", error)
    return Standing(kind, f"reading_{account.state}")


def sending(account: AccountInfo | AccountSummary) -> Standing:
    """The state of the SMTP side."""
    found = account.sending
    if not found:
        return Standing("mute", "sending_unset")
    kind = _SENDING.get(found.state, "mute")
    if kind in TROUBLES:
        return _with(kind, f"sending_{found.state}", found.last_error)
    return Standing(kind, f"sending_{found.state}")


def as_a_whole(account: AccountInfo | AccountSummary) -> Standing:
    """The worse of the two, as a list shows it."""
    read, sent = reading(account), sending(account)
    for kind in TROUBLES:
        for each in (read, sent):
            if each.kind == kind:
                return each
    return sent if read.word == "reading_unset" and sent.word != "sending_unset" else read


def _with(kind: str, word: str, error: LastError | None) -> Standing:
    if error is None:
        return Standing(kind, word)
    # That a login is refused says the word itself; of other errors the description tells more than the network's words.
    is_login = word.endswith(("authenticationError", "stopped"))
    why = str(error.hint or (not is_login and error.description) or error.response)
    return Standing(kind, word, why, str(error.reauth_url or ""))
