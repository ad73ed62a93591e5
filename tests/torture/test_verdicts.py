"""Every reply and every break at every stage, against the real process: what is said, what arrives, how often it tries.

All rows are played at once, each through an account and a server of its own; each test looks at one row.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from real.engine_process import EngineProcess
from real.processes import wait_until

from torture.accounts import entry, events, message_events, register, submit
from torture.scripted_smtp import Act, ScriptedServer

pytestmark = pytest.mark.process

TRIES = 3
LETTERS = {"messageDeliveryError": "E", "messageInDoubt": "D", "messageSent": "S", "messageFailed": "F"}
BIG = 6_000_000
"""Octets of an attachment larger than any socket's buffers, so a peer that never reads cannot be sent all of it."""


@dataclass(frozen=True)
class Row:
    """A script, and what must come of it.

    `told`: the message's events, E(rror), (in) D(oubt), S(ent), F(ailed); `E+` is any number. `tries` as the outbox
    counts them, `kept` the messages the server has in the end. `asked`: members of the submission.
    """

    name: str
    script: Mapping[str, tuple[str, ...]]
    told: str
    kept: int = 1
    tries: int = 1
    states: tuple[str, ...] = ("sent",)
    login: bool = False
    asked: Mapping[str, Any] = field(default_factory=dict)

    @property
    def account(self) -> str:
        """The row's own."""
        return re.sub(r"[^a-z0-9]+", "-", self.name)


def later(name: str, stage: str, act: str, *, login: bool = False, **asked: Any) -> Row:
    """Deferred once, then sent."""
    return Row(name, {stage: (act,)}, "ES", tries=2, login=login, asked=asked)


def rejected(name: str, stage: str, reply: str) -> Row:
    """Refused for good at the first try."""
    return Row(name, {stage: (reply,)}, "EF", kept=0, states=("failed",))


def doubtful(name: str, act: str, *, kept: int) -> Row:
    """In doubt once, then sent again."""
    return Row(name, {"DOT": (act,)}, "EDS", kept=kept, tries=2)


ROWS = (
    Row("accepted", {}, "S"),
    later("greeting 421", "GREETING", "421 4.3.2 Too busy"),
    later("greeting 554", "GREETING", "554 5.3.2 No service here"),
    later("greeting nonsense", "GREETING", "hello"),
    later("greeting close", "GREETING", Act.CLOSE),
    later("greeting silence", "GREETING", Act.STALL),
    Row("ehlo 502, helo 250", {"EHLO": ("502 5.5.1 What?",)}, "S"),
    Row("ehlo 502, helo 502", {"EHLO": ("502 5.5.1 What?",), "HELO": ("502 5.5.1 What?",)}, "ES", tries=2),
    later("ehlo 421", "EHLO", "421 4.3.2 Too busy"),
    later("ehlo close", "EHLO", Act.CLOSE),
    Row("auth 235", {}, "S", login=True),
    later("auth 454", "AUTH", "454 4.7.0 Temporary authentication failure", login=True),
    later("auth 421", "AUTH", "421 4.7.0 Too many logins", login=True),
    Row("auth 535 once", {"AUTH": ("535 5.7.8 Bad credentials",)}, "ES", login=True),
    Row(
        "auth 535 always",
        {"AUTH": ("535 5.7.8 Bad credentials",) * 20},
        "E+F",
        kept=0,
        tries=0,
        states=("failed",),
        login=True,
        asked={"deliveryAttempts": TRIES},
    ),
    later("auth close", "AUTH", Act.CLOSE, login=True),
    later("mail 451", "MAIL", "451 4.3.0 Later"),
    later("mail 421", "MAIL", "421 4.3.2 Shutting down"),
    later("mail 503", "MAIL", "503 5.5.1 Bad sequence"),
    later("mail close", "MAIL", Act.CLOSE),
    later("mail silence", "MAIL", Act.STALL),
    rejected("mail 550", "MAIL", "550 5.7.1 Not from you"),
    rejected("mail 552", "MAIL", "552 5.3.4 Too big"),
    Row("rcpt 251", {"RCPT a@example.com": ("251 2.1.5 Will forward",)}, "S"),
    later("rcpt 451", "RCPT a@example.com", "451 4.7.1 Greylisted"),
    later("rcpt 421", "RCPT a@example.com", "421 4.3.2 Shutting down"),
    later("rcpt 452", "RCPT a@example.com", "452 4.5.3 Too many recipients"),
    later("rcpt 552", "RCPT a@example.com", "552 5.5.3 Too many recipients"),
    later("rcpt close", "RCPT a@example.com", Act.CLOSE),
    later("rcpt nonsense", "RCPT a@example.com", "what"),
    rejected("rcpt 550", "RCPT a@example.com", "550 5.1.1 No such user"),
    rejected("rcpt 550 in two lines", "RCPT a@example.com", "550-5.1.1 No such user\r\n550 5.1.1 here"),
    rejected("rcpt 554", "RCPT a@example.com", "554 5.7.1 Go away"),
    later("data 451", "DATA", "451 4.3.0 Later"),
    later("data 421", "DATA", "421 4.3.2 Shutting down"),
    Row("data 250", {"DATA": ("250 2.0.0 Ok?",)}, "S"),
    later("data close", "DATA", Act.CLOSE),
    later("data silence", "DATA", Act.STALL),
    rejected("data 554", "DATA", "554 5.7.1 No"),
    later("close in the body", "BODY", Act.CLOSE, big=True),
    later("no reader of the body", "BODY", Act.STALL, big=True),
    Row("dot 250 in three lines", {"DOT": ("250-2.0.0 Ok\r\n250-2.0.0 queued\r\n250 2.0.0 as 1",)}, "S"),
    later("dot 451", "DOT", "451 4.3.0 Later"),
    later("dot 452", "DOT", "452 4.2.2 Mailbox full"),
    later("dot 421", "DOT", "421 4.3.2 Shutting down"),
    Row(
        "dot 451 always",
        {"DOT": ("451 4.3.0 Later",) * 20},
        "E" * TRIES + "F",
        kept=0,
        tries=TRIES,
        states=("failed",),
        asked={"deliveryAttempts": TRIES},
    ),
    rejected("dot 550", "DOT", "550 5.7.1 Spam"),
    rejected("dot 552", "DOT", "552 5.3.4 Too big"),
    rejected("dot 554 after rcpt 250", "DOT", "554 5.6.0 Refused for all"),
    doubtful("dot nonsense", "ok, got it", kept=1),
    doubtful("dot 354", "354 Go on", kept=1),
    Row("dot with two codes", {"DOT": ("250-2.0.0 Ok\r\n251 2.0.0 Ok",)}, "S"),
    doubtful("dot close, not kept", Act.CLOSE, kept=1),
    doubtful("dot close, kept", Act.KEEP_AND_CLOSE, kept=2),
    doubtful("dot 250 too late", Act.KEEP_AND_LATE, kept=2),
    Row(
        "dot close, hold",
        {"DOT": (Act.KEEP_AND_CLOSE,)},
        "ED",
        states=("in_doubt",),
        asked={"onDoubt": "hold"},
    ),
    Row(
        "dot close, not kept, hold",
        {"DOT": (Act.CLOSE,)},
        "ED",
        kept=0,
        states=("in_doubt",),
        asked={"onDoubt": "hold"},
    ),
    Row(
        "dot close, fail",
        {"DOT": (Act.KEEP_AND_CLOSE,)},
        "EDF",
        states=("failed",),
        asked={"onDoubt": "fail"},
    ),
    Row(
        "three recipients, 250 451 550",
        {"RCPT b@example.com": ("451 4.2.0 Later",), "RCPT c@example.com": ("550 5.1.1 No such user",)},
        "SES",
        kept=2,
        tries=2,
        states=("sent", "sent", "failed"),
        asked={"to": ("a@example.com", "b@example.com", "c@example.com")},
    ),
)
BY_NAME = {row.name: row for row in ROWS}


class Stage:
    """The engine, and what became of each row."""

    def __init__(self, engine: EngineProcess) -> None:
        self.engine = engine
        self.servers: dict[str, ScriptedServer] = {}
        self.queue_ids: dict[str, str] = {}

    def play(self) -> None:
        """Connect all accounts, then begin all scripts and hand in all messages."""
        for row in ROWS:
            server = self.servers[row.name] = ScriptedServer()
            register(self.engine, row.account, server.port, login=row.login, wait=False)
        for row in ROWS:
            self.engine.wait_for_state(row.account, "connected")
            self.servers[row.name].play(row.script)
            asked = dict(row.asked)
            if asked.pop("big", False):
                content = base64.b64encode(bytes(BIG)).decode()
                asked["attachments"] = [{"filename": "big.bin", "content": content}]
            self.queue_ids[row.name] = submit(self.engine, row.account, **asked)["queueId"]

    def told(self, row: Row) -> str:
        """The row's events so far, a letter each; an error and the doubt it names count as E before D."""
        letters = "".join(LETTERS[each["event"]] for each in message_events(self.engine, row.account))
        return letters.replace("DE", "ED")


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Every row, played."""
    engine = EngineProcess(
        tmp_path_factory.mktemp("verdicts"),
        ENGINE_RETRY__SCHEDULE="200ms",
        ENGINE_RETRY__ATTEMPTS="100",
        ENGINE_SMTP__SESSIONS="200",
        ENGINE_SMTP__GREETING_TIMEOUT="2s",
        ENGINE_SMTP__COMMAND_TIMEOUT="2s",
        ENGINE_SMTP__DATA_TIMEOUT="2s",
        ENGINE_SMTP__BLOCK_TIMEOUT="2s",
        ENGINE_SMTP__DOT_TIMEOUT="2s",
    )
    stage = Stage(engine)
    try:
        engine.start()
        stage.play()
        yield stage
        assert "Traceback" not in engine.log, engine.log
    finally:
        engine.kill9()
        for server in stage.servers.values():
            server.close()


@pytest.mark.parametrize("row", list(BY_NAME))
def test_a_reply_or_a_break_has_its_consequence(row: str, stage: Stage) -> None:
    expected, server = BY_NAME[row], stage.servers[row]
    least, last = len(expected.told.replace("+", "")), expected.told[-1]
    wait_until(
        lambda: len(stage.told(expected)) >= least and stage.told(expected)[-1] == last, f"the events of {row!r}"
    )
    assert re.fullmatch(expected.told, stage.told(expected)), stage.told(expected)
    found = message_events(stage.engine, expected.account)
    doubts = [each for each in found if each["event"] == "messageDeliveryError" and each["data"].get("inDoubt")]
    assert len(doubts) == expected.told.count("D")
    assert len(server.deliveries) == expected.kept
    shown = entry(stage.engine, stage.queue_ids[row])
    assert tuple(each["state"] for each in shown["recipients"]) == expected.states
    assert shown["attemptsMade"] == expected.tries


def test_a_partial_refusal_tries_only_the_rest(stage: Stage) -> None:
    row = BY_NAME["three recipients, 250 451 550"]
    wait_until(lambda: len(stage.told(row)) >= 3, "its events")
    assert [each.recipients for each in stage.servers[row.name].deliveries] == [["a@example.com"], ["b@example.com"]]
    first, error, second = (each["data"] for each in message_events(stage.engine, row.account))
    assert first["accepted"] == ["a@example.com"]
    assert [(each["address"], each["responseCode"]) for each in first["rejected"]] == [("c@example.com", 550)]
    assert "b@example.com" in error["envelope"]["to"]
    assert second["accepted"] == ["b@example.com"]


def test_a_refused_login_is_told_once_and_fails_in_its_own_words(stage: Stage) -> None:
    row = BY_NAME["auth 535 always"]
    wait_until(lambda: stage.told(row).endswith("F"), "its end")
    failed = message_events(stage.engine, row.account)[-1]["data"]
    assert failed["error"].startswith("Error: Invalid login: 535 5.7.8 Bad credentials")
    names = [each["event"] for each in events(stage.engine, row.account)]
    assert names.count("authenticationError") == 1
    assert stage.servers[row.name].visits["AUTH"] <= 2 * TRIES
