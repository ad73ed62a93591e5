"""Secrets that a mail server says back, and banners of what is no mail server: neither is shown to anybody."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from imap_script import Scripted, Server

from engine import sasl
from engine.errors import LoginRefused, ProtocolError
from engine.smtp.session import DeliveryError, SmtpEndpoint, SmtpEnvelope, SmtpSession
from engine.transcript import Trace
from engine.transport import TlsRules

SECRET = "k1ng-Fisher"
CREDENTIALS = sasl.Credentials(user="me", password=SECRET, access_token=None)
BLOB = base64.b64encode(b"\0me\0" + SECRET.encode())
ECHOES = [
    SECRET.encode(),
    SECRET.upper().encode(),
    base64.b64encode(SECRET.encode()),
    BLOB,
    BLOB.rstrip(b"="),
    SECRET.encode().hex().encode(),
    b"k1ng%2DFisher",
    b"pass=" + SECRET.encode() + b";",
]
BANNERS = [
    b"SSH-2.0-OpenSSH_9.2p1 canary-banner\r\n",
    b"HTTP/1.1 400 canary-banner\r\n\r\n",
    b"-ERR canary-banner\r\n",
    b"+OK canary-banner\r\n",
    b"5.7.38-canary-banner\0\x08\r\n",
    b"220canary-banner\r\n551canary-banner\r\n",
    b"J\0\0\0\n8.0.36-canary-banner\0\r\n",
]


async def smtp(scripted: Scripted, trace: Trace) -> SmtpSession:
    endpoint = SmtpEndpoint("mx.example", 587, False, TlsRules(), CREDENTIALS)
    return await SmtpSession.connect(endpoint, dial=scripted.dial, ehlo_name="me.example", trace=trace)


def nothing_of_it(echo: bytes, *shown: Any) -> None:
    text = "\n".join(str(each) for each in shown).lower()
    assert echo.decode().strip("\r\n").lower() not in text
    assert SECRET.lower() not in text
    assert base64.b64encode(SECRET.encode()).decode().rstrip("=").lower() not in text


@pytest.mark.parametrize("echo", ECHOES)
async def test_an_smtp_login_that_is_echoed(echo: bytes, autojump_clock) -> None:
    async def script(server: Server) -> None:
        await server.say(b"220 hi\r\n")
        await server.answer(b"EHLO me.example", b"250-mx\r\n250 AUTH PLAIN\r\n")
        await server.answer(b"AUTH PLAIN " + BLOB, b"535-no such login:\r\n535 <" + echo + b">\r\n")
        await server.hung_up()

    trace = Trace()
    async with Scripted(script) as scripted:
        with pytest.raises(DeliveryError) as caught:
            await smtp(scripted, trace)
    assert "no such login" in caught.value.verdict.text
    nothing_of_it(echo, caught.value, caught.value.verdict, trace.lines())


@pytest.mark.parametrize("echo", ECHOES)
async def test_an_smtp_server_that_echoes_it_later(echo: bytes, autojump_clock) -> None:
    async def script(server: Server) -> None:
        await server.say(b"220 hi\r\n")
        await server.answer(b"EHLO me.example", b"250-mx " + echo + b"\r\n250 AUTH PLAIN\r\n")
        await server.answer(b"AUTH PLAIN " + BLOB, b"235 welcome " + echo + b"\r\n")
        await server.answer(b"MAIL FROM:<a@x>", b"250 ok\r\n")
        await server.answer(b"RCPT TO:<b@x>", b"250 ok\r\n")
        await server.answer(b"RCPT TO:<c@x>", b"450 not now, " + echo + b"\r\n")
        await server.answer(b"DATA", b"354 go\r\n")
        await server.hear(b"x", b".")
        await server.say(b"250 kept as " + echo + b"\r\n")
        await server.answer(b"QUIT", b"221 bye\r\n")

    trace = Trace()

    async def nothing() -> None:
        pass

    async with Scripted(script) as scripted:
        session = await smtp(scripted, trace)
        outcome = await session.send(SmtpEnvelope("a@x", ("b@x", "c@x")), [b"x\r\n"], nothing)
        await session.quit()
    assert outcome.reply is not None
    assert "kept as" in outcome.reply.line
    nothing_of_it(echo, outcome.reply, outcome.recipients, trace.lines())


@pytest.mark.parametrize("echo", ECHOES)
async def test_an_imap_login_that_is_echoed(echo: bytes, autojump_clock) -> None:
    async def script(server: Server) -> None:
        await server.say(b"* OK [CAPABILITY IMAP4rev1 LOGINDISABLED AUTH=PLAIN SASL-IR] " + echo + b"\r\n")
        await server.hear(b"A1 AUTHENTICATE PLAIN " + BLOB)
        await server.say(b"* NO " + echo + b"\r\nA1 NO [AUTHENTICATIONFAILED] wrong: " + echo + b"\r\n")
        await server.stream.aclose()

    trace = Trace()
    async with Scripted(script) as scripted:
        with pytest.raises(LoginRefused) as caught:
            await scripted.connect(credentials=CREDENTIALS, trace=trace)
    assert "wrong:" in caught.value.response
    nothing_of_it(echo, caught.value, caught.value.response, trace.lines())


@pytest.mark.parametrize("banner", BANNERS)
async def test_a_banner_that_is_no_greeting_is_not_quoted(banner: bytes, autojump_clock) -> None:
    async def script(server: Server) -> None:
        await server.say(banner)
        await server.stream.aclose()

    for connect in (smtp, None):
        trace = Trace()
        async with Scripted(script) as scripted:
            with pytest.raises((DeliveryError, ProtocolError)) as caught:
                if connect is not None:
                    await smtp(scripted, trace)
                else:
                    await scripted.connect(credentials=CREDENTIALS, trace=trace)
        shown = f"{caught.value} {getattr(caught.value, 'verdict', '')} {trace.lines()}"
        assert "canary" not in shown


async def test_what_servers_say_in_words_stays_as_it_is(autojump_clock) -> None:
    """A password that is a word of the protocol takes nothing from the dialogue."""

    async def script(server: Server) -> None:
        await server.say(b"220 hi\r\n")
        await server.answer(b"EHLO me.example", b"250-mx\r\n250-SIZE 100\r\n250 AUTH PLAIN\r\n")
        await server.hear(b"AUTH PLAIN " + base64.b64encode(b"\0me\0plain"))
        await server.say(b"235 welcome\r\n")
        await server.answer(b"QUIT", b"221 bye\r\n")

    async with Scripted(script) as scripted:
        credentials = sasl.Credentials(user="me", password="plain", access_token=None)
        endpoint = SmtpEndpoint("mx.example", 587, False, TlsRules(), credentials)
        session = await SmtpSession.connect(endpoint, dial=scripted.dial, ehlo_name="me.example")
        assert session.capabilities.size == 100
        await session.quit()
