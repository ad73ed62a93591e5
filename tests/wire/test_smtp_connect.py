"""The session against a server that follows a script: greetings, TLS, and no connection at all."""

import pytest
import trio
from imap_script import Scripted
from smtp_script import HOST, PASSWORD, PLAIN, connect, ehlo, greet, refused

from engine.errors import NetworkError, NetworkKind
from engine.smtp.session import DeliveryError, SmtpEndpoint, SmtpSession
from engine.smtp.verdict import Kind, Stage
from engine.transport import TlsRules


@pytest.mark.parametrize("greeting", [b"554 go away\r\n", b"421 busy\r\n", b"hello\r\n", b"250-x\r\n", b""])
async def test_no_welcome(greeting, autojump_clock):
    async def script(server):
        await server.say(greeting)
        await server.close()

    error = await refused(script)
    assert (error.verdict.kind, error.verdict.stage) == (Kind.LATER, Stage.GREETING)


async def test_a_reply_in_drops_has_one_deadline(autojump_clock):
    async def script(server):
        await server.say(b"220-")
        with pytest.raises(trio.BrokenResourceError):
            while True:
                await trio.sleep(200)
                await server.say(b"x")

    error = await refused(script)
    assert error.verdict.network is NetworkKind.TIMEOUT
    assert trio.current_time() < 1000


@pytest.mark.parametrize(
    ("kind", "stage"), [(NetworkKind.DNS, Stage.CONNECT), (NetworkKind.TIMEOUT, Stage.CONNECT), ("tls", Stage.TLS)]
)
async def test_no_connection(kind, stage):
    async def dial(host, port):
        raise NetworkError(NetworkKind(kind), "X", "it broke")

    with pytest.raises(DeliveryError) as caught:
        await SmtpSession.connect(SmtpEndpoint(HOST, 25, False, TlsRules(), None), dial=dial, ehlo_name="me.example")
    assert (caught.value.verdict.kind, caught.value.verdict.stage) == (Kind.LATER, stage)


async def test_starttls(upgrade, trusting):
    async def script(server):
        await greet(server, b"STARTTLS", b"AUTH LOGIN")
        await server.answer(b"STARTTLS", b"220 go\r\n")
        server = upgrade(server)
        await ehlo(server, b"AUTH PLAIN")
        await server.answer(b"AUTH PLAIN " + PLAIN, b"235 in\r\n")

    async with Scripted(script) as scripted:
        session = await connect(scripted, tls=trusting, credentials=PASSWORD)
        assert session.tls_version == "TLSv1.3"
        assert session.capabilities.auth == ("PLAIN",)
        await session.close()


async def test_tls_from_the_first_byte(upgrade, trusting):
    async def script(server):
        await greet(upgrade(server), b"STARTTLS")

    async with Scripted(script) as scripted:
        session = await connect(scripted, tls=trusting, secure=True)
        assert session.tls_version == "TLSv1.3"
        await session.close()


async def test_a_failed_handshake_never_falls_back(upgrade):
    async def script(server):
        await greet(server, b"STARTTLS")
        await server.answer(b"STARTTLS", b"220 go\r\n")
        await upgrade(server).hung_up()

    error = await refused(script)
    assert (error.verdict.kind, error.verdict.stage) == (Kind.LATER, Stage.TLS)
    assert error.verdict.network is NetworkKind.TLS


@pytest.mark.parametrize(
    ("offers", "answer", "text"),
    [
        ([b"STARTTLS"], b"220 go\r\n250 injected\r\n", "injected"),
        ([b"STARTTLS"], b"220 go\r\n2", "injected"),
        ([b"STARTTLS"], b"454 no\r\n", "454 no"),
        ([b"STARTTLS"], b"502 no\r\n", "502 no"),
        ([], None, "does not offer STARTTLS"),
    ],
)
async def test_never_in_clear(offers, answer, text, trusting, autojump_clock):
    async def script(server):
        await greet(server, *offers)
        if answer is not None:
            await server.answer(b"STARTTLS", answer)
        await server.hung_up()

    error = await refused(script, tls=trusting, credentials=PASSWORD)
    assert (error.verdict.kind, error.verdict.stage) == (Kind.LATER, Stage.TLS)
    assert text in error.verdict.text


@pytest.mark.parametrize(
    ("greeting", "text"),
    [(b"220-hello\r\n521 go away\r\n", "220-hello\n521 go away"), (b"554-no\r\n", "554 no"), (b"554 bl", "554 bl")],
)
async def test_the_last_words_of_a_greeting(greeting, text, autojump_clock):
    async def script(server):
        await server.say(greeting)
        await server.close()

    error = await refused(script)
    assert (error.verdict.kind, error.verdict.stage, error.verdict.text) == (Kind.LATER, Stage.GREETING, text)


async def test_what_is_no_smtp_server_is_not_waited_for(autojump_clock):
    async def script(server):
        await server.say(b"* OK IMAP4rev1 ready\r\n")
        await server.hung_up()

    error = await refused(script)
    assert error.verdict.text == "The server's greeting is not that of an SMTP server"
    assert trio.current_time() <= 11


async def test_an_odd_greeting_and_ehlo(autojump_clock):
    async def script(server):
        await server.say(b"\r\nwelcome\r\n250 hi\r\n")
        await server.answer(b"EHLO me.example", b"250-mx\r\nPIPELINING\r\n\r\n250-AUTH PLAIN\r\n250\tSIZE 9\r\n")
        await server.answer(b"AUTH PLAIN " + PLAIN, b"\r\n235-in\r\n235\r\n")

    async with Scripted(script) as scripted:
        session = await connect(scripted, credentials=PASSWORD)
        assert (session.capabilities.pipelining, session.capabilities.size) == (True, 9)
        assert session.logged_in
        await session.close()
