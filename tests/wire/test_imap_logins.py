"""Which ways to log in are tried after a refusal, what is remembered of it, and what is no wrong password."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from imap_script import CREDENTIALS, Scripted, Server

from engine import sasl
from engine.errors import EngineError, LoginRefused, NetworkError
from engine.imap.logins import DIALS, LoginVerdict, judged
from engine.imap.refusals import Refusals
from engine.imap.responses import StatusResponse, parse
from engine.imap.tokens import Tokenizer
from engine.sasl_server import knowing_exchange

PLAIN = base64.b64encode(b"\0u@example.com\0geheim")
USER, PASSWORD = base64.b64encode(b"u@example.com"), base64.b64encode(b"geheim")
NO = b"NO login failed"
WRONG = b"NO [AUTHENTICATIONFAILED] Invalid credentials"
NOT_SO = b"NO mechanism not supported"
BAD = b"BAD Unknown command"
LATER = b"NO [ALERT] Too many simultaneous connections. (Failure)"
OK = b"OK [CAPABILITY IMAP4rev1] in"


class Account:
    """A server with a refusal for each way, by its name; those without one let in. Notes which ways were tried."""

    def __init__(self, capabilities: bytes, closes: bool = False, **answers: bytes) -> None:
        self.capabilities, self.closes, self.answers = capabilities, closes, answers
        self.tried: list[str] = []
        self.told: list[bytes] = []

    async def __call__(self, server: Server) -> None:
        await server.say(b"* OK [CAPABILITY IMAP4rev1 " + self.capabilities + b"] hello\r\n")
        while line := await server.line():
            tag, command, *arguments = line.split(b" ")
            way = (arguments[0] if command == b"AUTHENTICATE" else b"command").decode()
            self.tried.append(way)
            self.told.append(line)
            answer = self.answers.get(way.partition("-")[0].lower(), OK)
            if answer == b"":
                await server.close()
                return
            begins = command == b"AUTHENTICATE" and answer in (OK, NO, WRONG, LATER)
            if begins and not await self._dialogue(server, way, len(arguments) > 1) and answer == OK:
                answer = b"NO cancelled"
            await server.say(tag + b" " + answer + b"\r\n")
            if answer == OK:
                await server.hung_up()
                return
            if self.closes:
                await server.close()
                return

    async def _dialogue(self, server: Server, way: str, initial: bool) -> bool:
        if way == "SCRAM-SHA-256":
            exchange = knowing_exchange(way, lambda user: "geheim", "server")
            challenge = next(exchange)
            try:
                while True:
                    await server.say(b"+ " + base64.b64encode(challenge) + b"\r\n")
                    challenge = exchange.send(base64.b64decode(await server.line()))
            except StopIteration as end:
                return end.value is not None
        wanted: dict[str, list[Any]] = {"PLAIN": [PLAIN], "LOGIN": [USER, PASSWORD], "CRAM-MD5": [None]}
        for response in wanted[way][initial:]:
            await server.say(b"+ \r\n")
            said = await server.line()
            assert response is None or said == response
        return True


async def log_in(
    account: Account, refusals: Refusals | None = None, credentials: sasl.Credentials = CREDENTIALS
) -> int:
    """How many connections it took."""
    failure: EngineError | None = None
    async with Scripted(account) as scripted:
        try:
            session = await scripted.connect(nonce="abcdef", refusals=refusals, credentials=credentials)
            await session.close()
        except EngineError as error:
            failure = error
    if failure is not None:
        raise failure
    return len(scripted.dials)


ALL = b"AUTH=CRAM-MD5 AUTH=LOGIN AUTH=PLAIN AUTH=SCRAM-SHA-256"
TWO = b"AUTH=PLAIN"


@pytest.mark.parametrize(
    ("capabilities", "answers", "tried"),
    [
        (ALL, {}, ["SCRAM-SHA-256"]),
        (ALL, {"scram": WRONG}, ["SCRAM-SHA-256", "PLAIN"]),
        (ALL, {"scram": NO}, ["SCRAM-SHA-256", "PLAIN"]),
        (ALL, {"scram": NOT_SO, "plain": NOT_SO}, ["SCRAM-SHA-256", "PLAIN", "LOGIN"]),
        (
            ALL,
            {"scram": BAD, "plain": BAD, "login": BAD, "cram": BAD},
            ["SCRAM-SHA-256", "PLAIN", "LOGIN", "CRAM-MD5", "command"],
        ),
        (TWO, {"plain": NO}, ["PLAIN", "command"]),
        (TWO, {"plain": NOT_SO}, ["PLAIN", "command"]),
        (TWO, {"plain": BAD}, ["PLAIN", "command"]),
        (b"AUTH=LOGIN", {"login": NO}, ["LOGIN", "command"]),
        (b"AUTH=CRAM-MD5", {"cram": WRONG}, ["CRAM-MD5", "command"]),
        (b"SASL-IR AUTH=PLAIN", {"plain": NO}, ["PLAIN", "command"]),
        (b"SASL-IR AUTH=PLAIN", {"plain": BAD}, ["PLAIN", "PLAIN", "command"]),
    ],
)
@pytest.mark.parametrize("closes", [False, True])
async def test_the_next_way_is_tried_and_the_one_that_works_remembered(
    capabilities, answers, tried, closes, autojump_clock
):
    account, refusals = Account(capabilities, closes, **answers), Refusals()
    if closes and len(tried) > DIALS:
        with pytest.raises(LoginRefused):
            await log_in(account, refusals)
        return
    assert await log_in(account, refusals) == (len(tried) if closes else 1)
    assert account.tried == tried
    account.tried.clear()
    assert await log_in(account, refusals) == 1
    assert account.tried == tried[-1:]


@pytest.mark.parametrize(
    ("capabilities", "answers", "logins"),
    [
        (ALL, WRONG, [["SCRAM-SHA-256", "PLAIN"]] * 3),
        (ALL, NO, [["SCRAM-SHA-256", "PLAIN"], ["LOGIN", "CRAM-MD5"], ["command"], ["SCRAM-SHA-256", "PLAIN"]]),
        (TWO, WRONG, [["PLAIN"]] * 3),
        (TWO, NO, [["PLAIN", "command"]] * 3),
        (b"", NO, [["command"]] * 3),
        (b"LOGINDISABLED AUTH=PLAIN", NO, [["PLAIN"]] * 3),
        (ALL, LATER, [["SCRAM-SHA-256"]] * 3),
        (TWO, LATER, [["PLAIN"]] * 3),
    ],
)
async def test_a_wrong_password_counts_twice_at_most(capabilities, answers, logins, autojump_clock):
    account, refusals = (
        Account(capabilities, **dict.fromkeys(("scram", "plain", "login", "cram", "command"), answers)),
        Refusals(),
    )
    for tried in logins:
        with pytest.raises(LoginRefused) as caught:
            await log_in(account, refusals)
        assert caught.value.response.partition(" ")[2] == answers.decode()
        assert caught.value.temporary == (answers == LATER)
        assert account.tried == tried
        account.tried.clear()


@pytest.mark.parametrize("refusal", [NO, WRONG])
async def test_a_password_changed_at_a_server_where_the_way_has_worked_counts_once(refusal, autojump_clock):
    account, refusals = Account(ALL), Refusals()
    await log_in(account, refusals)
    account.answers, account.tried = dict.fromkeys(("scram", "plain", "login", "cram", "command"), refusal), []
    for _ in range(2):
        with pytest.raises(LoginRefused):
            await log_in(account, refusals)
    assert account.tried == ["SCRAM-SHA-256"] * 2


@pytest.mark.parametrize(
    ("capabilities", "tried"), [(TWO, ["PLAIN", "command"]), (b"SASL-IR AUTH=PLAIN", ["PLAIN", "PLAIN", "command"])]
)
async def test_a_server_that_hangs_up_on_a_way_is_dialled_again_for_the_next(capabilities, tried, autojump_clock):
    account, refusals = Account(capabilities, plain=b""), Refusals()
    assert await log_in(account, refusals) == len(tried)
    assert account.tried == tried
    assert await log_in(account, refusals) > 1  # once may have been the network's doing
    assert await log_in(account, refusals) == 1


@pytest.mark.parametrize("worked", [False, True])
async def test_a_connection_lost_in_the_only_way_is_no_refusal(worked, autojump_clock):
    account, refusals = Account(b"" if not worked else ALL), Refusals()
    if worked:
        await log_in(account, refusals)
    account.answers, account.tried = {"command": b"", "scram": b""}, []
    with pytest.raises(NetworkError):
        await log_in(account, refusals)
    assert account.tried == (["SCRAM-SHA-256"] if worked else ["command"])
    account.answers = {}
    assert await log_in(account, refusals) == 1


async def test_a_server_that_hangs_up_whatever_is_tried(autojump_clock):
    said: dict[str, Any] = dict.fromkeys(("scram", "plain", "login", "cram", "command"), b"")
    account = Account(ALL, **said)
    with pytest.raises(NetworkError):
        await log_in(account)
    assert len(account.tried) == DIALS


async def test_the_refusal_that_blames_the_password_is_the_one_told(autojump_clock):
    with pytest.raises(LoginRefused) as caught:
        await log_in(Account(ALL, scram=NOT_SO, plain=BAD, login=WRONG))
    assert caught.value.code == "AUTHENTICATIONFAILED"


async def test_a_first_response_not_taken_in_the_command_is_not_sent_so_again(autojump_clock):
    class Strict(Account):
        async def __call__(self, server: Server) -> None:
            await server.say(b"* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN LOGINDISABLED] hello\r\n")
            line = await server.line()
            self.tried.append(line.decode())
            if line == b"A1 AUTHENTICATE PLAIN " + PLAIN:
                await server.say(b"A1 BAD Syntax error\r\n")
                line = await server.line()
            self.told.append(line[3:])
            await server.say(b"+ \r\n")
            await server.hear(PLAIN)
            await server.say(line[:2] + b" OK [CAPABILITY IMAP4rev1] in\r\n")
            await server.hung_up()

    account, refusals = Strict(b""), Refusals()
    await log_in(account, refusals)
    await log_in(account, refusals)
    assert account.told == [b"AUTHENTICATE PLAIN"] * 2
    assert account.tried == ["A1 AUTHENTICATE PLAIN " + PLAIN.decode(), "A1 AUTHENTICATE PLAIN"]


async def test_a_server_that_cannot_prove_that_it_knows_the_password_is_not_told_it(autojump_clock):
    async def script(server: Server) -> None:
        await server.say(b"* OK [CAPABILITY IMAP4rev1 AUTH=SCRAM-SHA-256 AUTH=PLAIN] hello\r\n")
        exchange = knowing_exchange("SCRAM-SHA-256", lambda user: "geheim", "server")
        await server.answer(b"A1 AUTHENTICATE SCRAM-SHA-256", b"+ \r\n")
        next(exchange)
        challenge = exchange.send(base64.b64decode(await server.line()))
        await server.say(b"+ " + base64.b64encode(challenge) + b"\r\n")
        await server.line()
        await server.say(b"+ " + base64.b64encode(b"v=AAAA") + b"\r\n")
        await server.answer(b"*", b"A1 NO cancelled\r\n")
        await server.hung_up()

    async with Scripted(script) as scripted:
        with pytest.raises(LoginRefused, match="did not prove"):
            await scripted.connect(nonce="abcdef")


async def test_a_greeting_that_says_later(autojump_clock):
    async def script(server: Server) -> None:
        await server.say(b"* NO Server Unavailable. 15\r\n")
        await server.hung_up()

    async with Scripted(script) as scripted:
        with pytest.raises(NetworkError, match=r"Server Unavailable\. 15"):
            await scripted.connect()


LATER_WORDS = """
NO [ALERT] Too many simultaneous connections. (Failure)
NO [ALERT] Too many simultaneous connections. Please retry later
NO Server Unavailable. 15
NO Server Unavailable
NO [UNAVAILABLE] Temporary authentication failure. [mx7:2026-11-20 10:00:00]
NO [UNAVAILABLE] x
NO [LIMIT] x
NO [INUSE] x
NO [INUSE] Mailbox in use
NO [SERVERBUG] Internal error occurred. Refer to server log for more information.
NO [OVERQUOTA] Account exceeded command or bandwidth limits.
NO [THROTTLED] x
NO Maximum number of connections from user+IP exceeded (mail_max_userip_connections=10)
NO [AUTHENTICATIONFAILED] Too many failed login attempts, try again later
NO Too many login failures, please try again later
BAD Too many connections
BAD User is authenticated but not connected.
NO Connection limit reached
NO Service temporarily unavailable
NO Backend server timed out
NO Login rate limit exceeded
NO Internal server error
NO System error, please try later
NO [ALERT] Account exceeded bandwidth limits
NO server busy
""".strip().splitlines()
PASSWORD_WORDS = """
NO [AUTHENTICATIONFAILED] Authentication failed.
NO [AUTHENTICATIONFAILED] Invalid credentials (Failure)
NO [AUTHORIZATIONFAILED] x
NO [EXPIRED] Your password has expired
NO [CONTACTADMIN] x
NO [WEBALERT https://example.com/] Web login required
NO [AUTHENTICATIONFAILED] Invalid credentials. Try again later
""".strip().splitlines()
UNCLEAR_WORDS = """
NO [ALERT] Invalid credentials (Failure)
NO Login failed.
NO LOGIN failed
NO AUTHENTICATE failed.
NO Invalid user name or password, please try again later
NO [ALERT] Application-specific password required: https://support.example.com/ (Failure)
NO Your account is disabled
NO
NO Mailbox does not exist
""".strip().splitlines()
WAY_WORDS = """
NO mechanism not supported
NO Unsupported authentication mechanism.
NO [CANNOT] Unsupported authentication
NO Plaintext authentication disabled
NO [PRIVACYREQUIRED] Plaintext authentication disallowed on non-secure (SSL/TLS) connections.
NO PLAIN is not enabled
NO LOGIN is disabled
BAD Unknown command
BAD Command Argument Error. 12
BAD Invalid command
BAD Too many arguments
""".strip().splitlines()


@pytest.mark.parametrize(
    ("line", "verdict"),
    [(line, LoginVerdict.LATER) for line in LATER_WORDS]
    + [(line, LoginVerdict.CREDENTIALS) for line in PASSWORD_WORDS]
    + [(line, LoginVerdict.UNCLEAR) for line in UNCLEAR_WORDS]
    + [(line, LoginVerdict.WAY) for line in WAY_WORDS],
)
def test_what_a_refusal_is_about(line, verdict):
    tokenizer = Tokenizer()
    tokenizer.feed(b"A1 " + line.encode() + b"\r\n")
    frame = tokenizer.next_frame()
    assert frame is not None
    response = parse(frame)
    assert isinstance(response, StatusResponse)
    assert judged(response) is verdict
