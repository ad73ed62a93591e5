import logging

import pytest
import trio
from seeded_world import SeededWorld
from trio.testing import wait_all_tasks_blocked

from engine.errors import NetworkError, NetworkKind
from engine.sandbox.provider import IMAP_PORTS, SMTP_PORTS, Sandbox
from engine.sandbox.smtp_server import SmtpConnection

PLAIN = "AUTH PLAIN AGRlbW8Ac2VjcmV0"


async def test_ports_say_what_is_spoken(connect):
    for port in SMTP_PORTS:
        assert (await connect(port)).greeting.startswith("220 ")
    for port in IMAP_PORTS:
        assert (await connect(port)).greeting.startswith("* OK ")


async def refused(sandbox, host="mail.sandbox.example", port=25) -> NetworkError:
    with pytest.raises(NetworkError) as caught:
        await sandbox.dial(host, port)
    return caught.value


async def test_other_ports_are_refused(sandbox):
    error = await refused(sandbox, port=80)
    assert (error.kind, error.code) == (NetworkKind.CONNECT, "ECONNREFUSED")
    assert str(error) == "connect ECONNREFUSED mail.sandbox.example:80"


async def test_nobody_listens_before_run_and_after_it():
    sandbox = Sandbox(SeededWorld(1))
    assert (await refused(sandbox)).code == "ECONNREFUSED"
    async with trio.open_nursery() as nursery:
        await nursery.start(sandbox.run)
        await (await sandbox.dial("x", 25)).aclose()
        nursery.cancel_scope.cancel()
    assert (await refused(sandbox)).code == "ECONNREFUSED"


async def test_dead_hosts_and_ports(sandbox, connect):
    sandbox.faults.dead |= {"dead.sandbox.example", 143}
    assert (await refused(sandbox, "dead.sandbox.example")).code == "ECONNREFUSED"
    assert (await refused(sandbox, port=143)).code == "ECONNREFUSED"
    await connect(25)
    sandbox.faults.dead.clear()
    await connect(143)


async def test_a_dial_that_fails_in_a_way_of_ones_choice(sandbox):
    sandbox.faults.refuse_dial = NetworkError(NetworkKind.DNS, "ENOTFOUND", "getaddrinfo ENOTFOUND x")
    first, second = await refused(sandbox), await refused(sandbox)
    assert (first.kind, first.code, str(first)) == (NetworkKind.DNS, "ENOTFOUND", "getaddrinfo ENOTFOUND x")
    assert first is not second


async def test_shutdown_says_goodbye_to_those_who_can_hear_it(connect, sandbox, running):
    idle = await connect(25, "me")
    await idle.transaction("a@a.example")
    slow = await connect(25, "me")
    await slow.send("MAIL FROM:<>\r\nRCPT TO:<slow900+x@a.example>\r\nDATA\r\nhello\r\n.\r\n")
    for _ in range(3):
        await slow.reply()
    imap = await connect(143, "demo")
    await imap.imap("SELECT INBOX")
    await imap.imap("IDLE")
    await wait_all_tasks_blocked()
    running.cancel()
    assert [await idle.line(), await idle.line()] == ["421 4.3.2 sandbox.example Service shutting down", "<EOF>"]
    assert await slow.line() == "<EOF>", "a 421 here would be a lie: the message was kept"
    assert [await imap.line(), await imap.line()] == ["* BYE Server shutting down.", "<EOF>"]
    assert len(sandbox.delivered) == 2


async def test_a_client_that_does_not_read_cannot_hold_up_shutdown(autojump_clock):
    sandbox = Sandbox(SeededWorld(1))
    async with trio.open_nursery() as nursery:
        await nursery.start(sandbox.run)
        stream = await sandbox.dial("x", 25)
        await stream.send_all(b"NOOP\r\n" * 10_000)
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert trio.current_time() < 2


async def test_a_crash_is_logged_and_closes_that_connection_only(sandbox, connect, monkeypatch, engine_errors):
    other = await connect(25, "me")

    async def crash(self, event):
        raise ZeroDivisionError

    client = await connect(25, "me")
    with monkeypatch.context() as patch:
        patch.setattr(SmtpConnection, "_handle", crash)
        await client.send("VRFY x\r\n")
        assert await client.line() == "<EOF>"
    (record,) = engine_errors
    assert (record.name, record.levelno, record.exc_info[0]) == ("engine.sandbox", logging.ERROR, ZeroDivisionError)
    assert await other.smtp("NOOP") == "250 2.0.0 Ok"


async def test_clients_that_hang_up_are_forgotten(sandbox, connect):
    for port in (25, 143):
        client = await connect(port)
        await client.stream.aclose()
    await wait_all_tasks_blocked()
    assert sandbox.faults.smtp_connections == sandbox.faults.imap_connections == set()


class TestFaults:
    async def test_cut_imap_closes_all_of_them_and_no_smtp(self, sandbox, connect):
        clients = [await connect(143, "a"), await connect(993, "b")]
        await clients[0].imap("SELECT INBOX")
        await clients[0].imap("IDLE")
        smtp = await connect(25, "me")
        sandbox.faults.cut_imap()
        for client in clients:
            assert await client.line() == "<EOF>"
        assert await smtp.smtp("NOOP") == "250 2.0.0 Ok"
        sandbox.faults.cut_smtp()
        assert await smtp.line() == "<EOF>"
        await connect(143, "a")

    @pytest.mark.parametrize("greeting", [b"554 5.3.2 No service\r\n", b"421 Later\r\n"])
    async def test_an_smtp_greeting_of_ones_choice(self, sandbox, connect, greeting):
        sandbox.faults.greeting = greeting
        client = await connect(25)
        assert client.greeting == greeting.decode().strip()
        assert await client.line() == "<EOF>"

    async def test_a_strange_greeting_that_is_none_the_less_a_welcome(self, sandbox, connect):
        sandbox.faults.greeting = b"220-hello\r\n220 world\r\n"
        client = await connect(25)
        assert [client.greeting, await client.line()] == ["220-hello", "220 world"]
        assert await client.smtp("NOOP") == "250 2.0.0 Ok"

    async def test_imap_greetings(self, sandbox, connect):
        sandbox.faults.imap_greeting = b"* BYE too busy\r\n"
        client = await connect(143)
        assert await client.line() == "<EOF>"
        sandbox.faults.imap_greeting = b"* PREAUTH welcome\r\n"
        client = await connect(143)
        assert (await client.imap("SELECT INBOX"))[-1] == "OK [READ-WRITE] Select completed."

    @pytest.mark.parametrize(("fault", "port"), [("hang_smtp", 25), ("hang_imap", 143)])
    async def test_hanging_servers_take_everything_and_say_nothing(self, sandbox, connect, autojump_clock, fault, port):
        before = await connect(port)
        setattr(sandbox.faults, fault, True)
        stream = await sandbox.dial("x", port)
        with trio.move_on_after(100_000):
            pytest.fail(await stream.receive_some())
        await before.send("a NOOP\r\n" * 100_000)
        with trio.move_on_after(100_000):
            pytest.fail(await before.stream.receive_some())

    async def test_logins_refused_by_name(self, sandbox, connect):
        sandbox.faults.reject_login.add("demo@sandbox.example")
        client = await connect(587, "me")
        assert await client.smtp(PLAIN) == "535 5.7.8 Error: authentication failed: (reason unavailable)"
        client = await connect(143)
        assert await client.imap("LOGIN demo secret") == ["NO [AUTHENTICATIONFAILED] Authentication failed."]
        assert (await client.imap("LOGIN other secret"))[0].startswith("OK ")

    async def test_logins_put_off(self, sandbox, connect):
        sandbox.faults.login_later.add("demo@sandbox.example")
        client = await connect(587, "me")
        assert (await client.smtp(PLAIN))[:9] == "454 4.7.0"
        client = await connect(143)
        assert (await client.imap("LOGIN demo secret"))[0].startswith("NO [UNAVAILABLE] ")

    async def test_login_required(self, sandbox, connect):
        sandbox.faults.require_login = True
        client = await connect(587, "me")
        assert await client.smtp("MAIL FROM:<a@a.example>") == "530 5.7.0 Authentication required"
        await client.smtp(PLAIN)
        assert await client.smtp("MAIL FROM:<a@a.example>") == "250 2.1.0 Ok"

    async def test_smtp_without_its_extensions(self, sandbox, connect):
        sandbox.faults.smtp_capabilities_drop |= {
            "PIPELINING",
            "SIZE",
            "AUTH",
            "ENHANCEDSTATUSCODES",
            "8BITMIME",
            "DSN",
            "SMTPUTF8",
        }
        client = await connect(587)
        assert await client.smtp("EHLO me") == "250 sandbox.example"
        assert await client.smtp(PLAIN) == "503 5.5.1 Error: authentication not enabled"
        for option in ("SIZE=1", "BODY=8BITMIME", "SMTPUTF8", "ENVID=x", "RET=FULL"):
            assert await client.smtp(f"MAIL FROM:<a@a.example> {option}") == f"555 5.5.4 Unsupported option: {option}"

    async def test_imap_without_its_extensions(self, sandbox, connect):
        sandbox.faults.imap_capabilities_drop |= {"IDLE", "ID", "UIDPLUS", "MOVE", "SASL-IR", "SPECIAL-USE", "UNSELECT"}
        client = await connect(143)
        assert client.greeting.startswith("* OK [CAPABILITY IMAP4rev1 LITERAL+ AUTH=PLAIN ")
        initial = await client.imap("AUTHENTICATE PLAIN AGRlbW8Ac2VjcmV0")
        assert initial == ["BAD Error in IMAP command AUTHENTICATE: Initial response not supported."]
        await client.imap("LOGIN demo secret")
        assert (await client.imap('LIST "" Sent'))[0] == '* LIST (\\HasNoChildren) "/" Sent'
        await client.imap("SELECT INBOX")
        for command in ("IDLE", "ID NIL", "UID EXPUNGE 1", "MOVE 1 Sent", "UNSELECT"):
            (answer,) = await client.imap(command)
            assert answer.endswith(": Unknown command.")
        await client.send("a APPEND INBOX {1+}\r\nx\r\n")
        assert (await client.answer("a"))[-1] == "OK Append completed."
        assert (await client.imap("COPY 1 Sent"))[-1] == "OK Copy completed."

    async def test_appends_that_fail(self, sandbox, connect):
        sandbox.faults.sent_append_fails = 2
        client = await connect(143, "demo")
        answers = []
        for _ in range(3):
            await client.send("a APPEND Sent {1+}\r\nx\r\n")
            answers += await client.answer("a")
        failed = "NO [SERVERBUG] Internal error occurred. Refer to server log for more information."
        assert answers[:2] == [failed, failed]
        assert answers[2].startswith("OK [APPENDUID ")
        assert len(sandbox.account("demo").folder("Sent").messages) == 1
