"""A session and the lines of its server, for tests that follow a script."""

import base64

import pytest
import trio
from imap_script import Scripted, Server

from engine.sasl import Credentials
from engine.smtp.session import DeliveryError, Outcome, SmtpEndpoint, SmtpEnvelope, SmtpSession
from engine.transport import TlsRules

HOST = "smtp.example.com"


PASSWORD = Credentials(user="u", password="geheim", access_token=None)


PLAIN = base64.b64encode(b"\0u\0geheim")


ENVELOPE = SmtpEnvelope("s@x", ("a@x", "b@x"))


BODY = [b"Subject: x\r\n\r\n", b".dot\r\n"]


GROUP = [b"MAIL FROM:<s@x>", b"RCPT TO:<a@x>", b"RCPT TO:<b@x>", b"DATA"]


WIRE = [b"Subject: x", b"", b"..dot", b"."]


async def nothing() -> None:
    await trio.lowlevel.checkpoint()


async def connect(scripted, *, secure=False, tls=None, credentials=None, trace=None):
    endpoint = SmtpEndpoint(HOST, 587, secure, tls or TlsRules(), credentials)
    return await SmtpSession.connect(endpoint, dial=scripted.dial, ehlo_name="me.example", trace=trace)


async def greet(server: Server, *offers: bytes) -> None:
    await server.say(b"220 hi\r\n")
    await ehlo(server, *offers)


async def ehlo(server: Server, *offers: bytes) -> None:
    lines = [b"mx", *offers]
    reply = b"".join(b"250-%s\r\n" % line for line in lines[:-1]) + b"250 %s\r\n" % lines[-1]
    await server.answer(b"EHLO me.example", reply)


async def refused(script, **options) -> DeliveryError:
    async with Scripted(script) as scripted:
        with pytest.raises(DeliveryError) as caught:
            await connect(scripted, **options)
    assert caught.value.recipients == {}
    assert not caught.value.dot_sent
    return caught.value


async def send_after(replies: bytes, last: bytes = b"") -> tuple[Outcome | DeliveryError, bool]:
    """What one `send` gave, and whether the session was usable then; the server closes after `last`."""

    async def script(server):
        await greet(server, b"PIPELINING")
        await server.hear(b"MAIL FROM:<s@x>")
        await server.say(replies)
        for _ in range(10):
            line = await server.line()
            if line in (b".", b"RSET"):
                await server.say(last or b"250 ok\r\n")
                break
        await server.close()

    async with Scripted(script) as scripted:
        session = await connect(scripted)
        try:
            return await session.send(ENVELOPE, BODY, nothing), session.usable
        except DeliveryError as error:
            return error, session.usable
        finally:
            await session.close()
