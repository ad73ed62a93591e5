"""The session against a server that follows a script: logins."""

import base64

import pytest
from imap_script import Scripted
from smtp_script import (
    HOST,
    PASSWORD,
    PLAIN,
    connect,
    greet,
    refused,
    send_after,
)

from engine.errors import NetworkKind
from engine.sasl import Credentials
from engine.sasl_server import knowing_exchange
from engine.smtp.session import DeliveryError, SmtpEndpoint, SmtpSession
from engine.smtp.verdict import Kind, Stage
from engine.transcript import Trace
from engine.transport import TlsRules

TOKEN = Credentials(user="u", password=None, access_token="t0ken")


XOAUTH2 = base64.b64encode(b"user=u\x01auth=Bearer t0ken\x01\x01")


@pytest.mark.parametrize(
    ("offer", "credentials", "dialogue"),
    [
        (b"AUTH=PLAIN", PASSWORD, [(b"AUTH PLAIN " + PLAIN, b"235 in\r\n")]),
        (
            b"AUTH LOGIN",
            PASSWORD,
            [(b"AUTH LOGIN", b"334 Who are you?\r\n"), (b"dQ==", b"334\r\n"), (b"Z2VoZWlt", b"235 in\r\n")],
        ),
        (b"AUTH XOAUTH2", TOKEN, [(b"AUTH XOAUTH2 " + XOAUTH2, b"235 in\r\n")]),
    ],
)
async def test_login(offer, credentials, dialogue, autojump_clock):
    async def script(server):
        await greet(server, offer)
        for command, reply in dialogue:
            await server.answer(command, reply)

    trace = Trace()
    async with Scripted(script) as scripted:
        session = await connect(scripted, credentials=credentials, trace=trace)
        await session.close()
    for secret in (PLAIN, XOAUTH2, b"Z2VoZWlt", b"geheim", b"t0ken"):
        assert secret.decode() not in "\n".join(trace.lines())


@pytest.mark.parametrize(
    ("offers", "credentials", "dialogue", "kind", "code", "text"),
    [
        ([b"AUTH PLAIN"], PASSWORD, [b"535 5.7.8 no\r\n"], Kind.LOGIN_REFUSED, 535, "535 5.7.8 no"),
        ([b"AUTH PLAIN"], PASSWORD, [b"454 4.7.0 busy\r\n"], Kind.LATER, 454, "454 4.7.0 busy"),
        ([b"AUTH XOAUTH2"], TOKEN, [b"334 eyJ9\r\n", b"535 5.7.8 no\r\n"], Kind.LOGIN_REFUSED, 535, "535 5.7.8 no"),
        ([b"AUTH PLAIN"], PASSWORD, [b"334 \r\n", b"334 \r\n"], Kind.LATER, None, "challenge is invalid"),
        ([b"AUTH PLAIN LOGIN"], PASSWORD, [b"535 5.7.8 no\r\n"], Kind.LOGIN_REFUSED, 535, "535 5.7.8 no"),
        ([b"AUTH PLAIN LOGIN"], PASSWORD, [b"504 a\r\n", b"504 b\r\n"], Kind.LOGIN_REFUSED, 504, "504 b"),
        ([b"AUTH PLAIN LOGIN"], PASSWORD, [b"504 a\r\n", b""], Kind.LOGIN_REFUSED, 504, "504 a"),
        (
            [b"AUTH XOAUTH2"],
            TOKEN,
            [b"334 eyJzdGF0dXMiOiI0MDAifQ==\r\n", b"535 no\r\n"],
            Kind.LOGIN_REFUSED,
            535,
            '535 no ({"status":"400"})',
        ),
        ([b"AUTH NTLM GSSAPI"], PASSWORD, [], Kind.LOGIN_REFUSED, None, "offers AUTH NTLM GSSAPI"),
    ],
)
async def test_refused_login(offers, credentials, dialogue, kind, code, text, autojump_clock):
    async def script(server):
        await greet(server, *offers)
        for reply in dialogue:
            await server.line()
            await (server.say(reply) if reply else server.close())
        if all(dialogue):
            await server.hung_up()

    verdict = (await refused(script, credentials=credentials)).verdict
    assert (verdict.kind, verdict.stage, verdict.code) == (kind, Stage.AUTH, code)
    assert text in verdict.text


@pytest.mark.parametrize(
    ("offer", "credentials", "dialogue"),
    [
        # RFC 4954 section 4: a command of more than 512 octets goes without its initial response.
        (b"AUTH XOAUTH2", 5000, [(b"AUTH XOAUTH2", b"334 \r\n"), (None, b"235 in\r\n")]),
        (b"AUTH OAUTHBEARER", 5000, [(b"AUTH OAUTHBEARER", b"334\r\n"), (None, b"235 in\r\n")]),
        (b"AUTH XOAUTH2", 351, [(None, b"235 in\r\n")]),
        (b"AUTH XOAUTH2", 352, [(b"AUTH XOAUTH2", b"334 \r\n"), (None, b"235 in\r\n")]),
        # An empty question after the initial response asks for it again; PLAIN knows no other.
        (b"AUTH PLAIN", 0, [(b"AUTH PLAIN " + PLAIN, b"334 \r\n"), (PLAIN, b"235 in\r\n")]),
        (b"AUTH PLAIN", 0, [(b"AUTH PLAIN " + PLAIN, b"334 go on\r\n"), (PLAIN, b"235 in\r\n")]),
        # What is wrong with the mechanism leads on to the next one.
        *(
            (
                b"AUTH PLAIN LOGIN",
                0,
                [
                    (b"AUTH PLAIN " + PLAIN, refusal + b"\r\n"),
                    (b"AUTH LOGIN", b"334 User\r\n"),
                    (b"dQ==", b"334 Password\r\n"),
                    (b"Z2VoZWlt", b"235 in\r\n"),
                ],
            )
            for refusal in (b"500 a", b"501 a", b"502 a", b"503 a", b"504 a", b"534 a", b"535 5.7.4 a", b"550 5.5.4 a")
        ),
    ],
)
async def test_logins_of_real_servers(offer, credentials, dialogue, autojump_clock):
    token = Credentials(user="u", password=None, access_token="t" * credentials) if credentials else PASSWORD

    async def script(server):
        await greet(server, offer)
        for command, reply in dialogue:
            said = await server.line()
            assert said == command or command is None
            assert len(said) <= 510 or not said.startswith(b"AUTH")
            await server.say(reply)

    async with Scripted(script) as scripted:
        session = await connect(scripted, credentials=token)
        assert session.logged_in
        await session.close()


async def test_no_login_where_none_is_offered(autojump_clock):
    async def script(server):
        await greet(server, b"PIPELINING")
        await server.hung_up()

    async with Scripted(script) as scripted:
        session = await connect(scripted, credentials=PASSWORD)
        assert not session.logged_in
        await session.close()


@pytest.mark.parametrize(("proof", "let_in"), [("real", True), ("forged", False), ("none", False)])
async def test_scram_wants_the_servers_proof(proof, let_in, autojump_clock):
    async def script(server):
        await greet(server, b"AUTH PLAIN SCRAM-SHA-256")
        exchange = knowing_exchange("SCRAM-SHA-256", lambda user: "geheim", "server")
        next(exchange)
        word, name, initial = (await server.line()).split()
        assert (word, name) == (b"AUTH", b"SCRAM-SHA-256")
        await server.say(b"334 %s\r\n" % base64.b64encode(exchange.send(base64.b64decode(initial))))
        signature = exchange.send(base64.b64decode(await server.line()))
        if proof == "forged":
            signature = b"v=" + base64.b64encode(bytes(32))
        if proof != "none":
            await server.say(b"334 %s\r\n" % base64.b64encode(signature))
            assert await server.line() == b""
        if proof != "forged":
            await server.say(b"235 in\r\n")

    endpoint = SmtpEndpoint(HOST, 587, False, TlsRules(), PASSWORD)
    async with Scripted(script) as scripted:
        try:
            session = await SmtpSession.connect(endpoint, dial=scripted.dial, ehlo_name="me.example", nonce="client")
        except DeliveryError as error:
            assert not let_in or error.verdict.network is NetworkKind.CLOSED
            assert "password" in str(error) or let_in
        else:
            assert let_in
            await session.close()


async def test_scram_without_its_secret_leads_on(autojump_clock):
    async def script(server):
        await greet(server, b"AUTH SCRAM-SHA-256 PLAIN")
        await server.line()
        await server.say(b"535 5.7.8 no secret in database\r\n")
        await server.answer(b"AUTH PLAIN " + PLAIN, b"235 in\r\n")

    endpoint = SmtpEndpoint(HOST, 587, False, TlsRules(), PASSWORD)
    async with Scripted(script) as scripted:
        session = await SmtpSession.connect(endpoint, dial=scripted.dial, ehlo_name="me.example", nonce="client")
        assert session.logged_in
        await session.close()


async def test_a_server_that_wants_a_login_after_all_refuses_no_message(autojump_clock):
    outcome, _ = await send_after(b"530 5.7.0 Authentication required\r\n503 a\r\n503 b\r\n503 c\r\n")
    assert {(verdict.kind, verdict.stage) for verdict in outcome.recipients.values()} == {
        (Kind.LOGIN_REFUSED, Stage.AUTH)
    }
