"""The condition of an account in words for people: reading and sending, each with a state and a reason. Pure."""

from __future__ import annotations

import re

import msgspec

from engine.schema.account import AccountInfo, AccountSummary
from engine.schema.account_condition import LastError
from engine.web.texts import Texts

_READING = {
    "connected": "good",
    "authenticationError": "bad",
    "connectError": "warn",
    "disconnected": "warn",
}
_SENDING = {"connected": "good", "authenticationError": "bad", "connectError": "warn"}
TROUBLES = ("bad", "warn")
_MEMBER = re.compile(
    r"(?<![\w.-])(imap|smtp|gateway)\."
    r"(?:(?P<login>(?:auth\.)?user and \1\.(?:auth\.)?pass)|(?P<place>host and \1\.port)|(?P<host>host)"
    r"|(?P<secure>secure))"
    r"(?![\w:-]|\.\w)"
)
"""Members of a registration that `accounts/remedies.py` names and a page has a field for."""
_SECURE = re.compile(r"(\.secure(?: set)? to (?:be )?)(true|false)\b")
_CALL = re.compile(r": correct (?:it|the password) with PUT /v1/.*$")
"""What `queue/lane_waiting.py` says last; on the page is a button instead."""


class Standing(msgspec.Struct, frozen=True):
    """`kind` is how it looks, `word` the key of its chip and sentence, `why` what the server or the network said.

    `reauth_url` is where the owner of the mailbox signs in again, if that would help.
    """

    kind: str
    word: str
    why: str = ""
    reauth_url: str = ""

    @property
    def is_trouble(self) -> bool:
        """Whether a person has to act, or the engine cannot do its work."""
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
    # The word itself says that a login is refused; for other errors, the description says more than the network.
    is_login = word.endswith(("authenticationError", "stopped"))
    why = str(error.hint or (not is_login and error.description) or error.response)
    return Standing(kind, word, why, str(error.reauth_url or ""))


def for_people(text: object, t: Texts) -> str:
    """A remedy for callers of the API, with what the pages call the members that it names."""
    said = _CALL.sub("", str(text))
    said = _SECURE.sub(lambda found: found[1] + (t("add.tls") if found[2] == "true" else t("add.starttls")), said)
    return _MEMBER.sub(lambda found: t(f"member.{found.lastgroup}", server=_server(found[1], t)).unescape(), said)


def _server(member: str, t: Texts) -> str:
    return t("member.gateway") if member == "gateway" else member.upper()
