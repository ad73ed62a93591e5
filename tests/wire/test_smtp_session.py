"""The session against a server that follows a script: connecting, TLS, login, sending, and every way it breaks."""

import base64
import socket
import ssl

import pytest
import trio
import trio.testing
import trustme
from imap_script import Scripted, Server

from engine.errors import NetworkError, NetworkKind
from engine.sandbox.login import knowing_exchange
from engine.sasl import Credentials
from engine.smtp.session import DeliveryError, Outcome, SmtpEndpoint, SmtpEnvelope, SmtpSession
from engine.smtp.verdict import Kind, Stage
from engine.transcript import Trace
from engine.transport import TlsRules

HOST = "smtp.example.com"
PASSWORD = Credentials(user="u", password="geheim", access_token=None)
TOKEN = Credentials(user="u", password=None, access_token="t0ken")
PLAIN = base64.b64encode(b"\0u\0geheim")
XOAUTH2 = base64.b64encode(b"user=u\x01auth=Bearer t0ken\x01\x01")
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


async def test_two_messages_pipelined(autojump_clock):
    async def script(server):
        await greet(server, b"PIPELINING")
        for number in (b"1", b"2"):
            await server.hear(*GROUP)
            await server.say(b"250 ok\r\n250 ok\r\n550 5.1.1 no\r\n354 go\r\n")
            await server.hear(*WIRE)
            await server.say(b"250 2.0.0 queued as %s\r\n" % number)
        await server.answer(b"QUIT", b"221 bye\r\n")
        await server.hung_up()

    trace = Trace()
    async with Scripted(script) as scripted:
        session = await connect(scripted, trace=trace)
        assert set(session.timings) == {"connect", "greeting", "ehlo"}
        for number in ("1", "2"):
            outcome = await session.send(ENVELOPE, BODY, nothing)
            assert outcome.reply.line == f"250 2.0.0 queued as {number}"
            assert [v.kind for v in outcome.recipients.values()] == [Kind.ACCEPTED, Kind.REJECTED]
            assert list(outcome.recipients) == ["a@x", "b@x"]
            assert outcome.recipients["b@x"].text == "550 5.1.1 no"
            assert outcome.dot_sent
            connecting = {"connect", "greeting", "ehlo"} if number == "1" else set()
            assert set(session.timings) == {"envelope", "data", "dot"} | connecting
        assert session.usable
        assert session.sent == 2
        await session.quit()
        assert not session.usable
    assert trace.lines()[1:14] == [
        "C: EHLO me.example",
        "S: 250-mx",
        "S: 250 PIPELINING",
        *("C: " + line.decode() for line in GROUP),
        "S: 250 ok",
        "S: 250 ok",
        "S: 550 5.1.1 no",
        "S: 354 go",
        "C: [21 bytes]",
        "C: .",
    ]


async def test_one_at_a_time_then_reset(autojump_clock):
    async def script(server):
        await server.say(b"220 hi\r\n")
        await server.answer(b"EHLO me.example", b"502 what\r\n")
        await server.answer(b"HELO me.example", b"250 mx\r\n")
        await server.answer(GROUP[0], b"250 ok\r\n")
        await server.answer(GROUP[1], b"450 a\r\n")
        await server.answer(GROUP[2], b"450 b\r\n")
        await server.answer(b"RSET", b"250 ok\r\n")
        for command in GROUP[:3]:
            await server.answer(command, b"250 ok\r\n")
        await server.answer(b"DATA", b"354 go\r\n")
        await server.hear(*WIRE)
        await server.say(b"451 not now\r\n")

    async with Scripted(script) as scripted:
        session = await connect(scripted)
        outcome = await session.send(ENVELOPE, BODY, nothing)
        assert [v.kind for v in outcome.recipients.values()] == [Kind.LATER, Kind.LATER]
        assert not outcome.dot_sent
        assert outcome.reply is None
        outcome = await session.send(ENVELOPE, BODY, nothing)
        assert {(v.kind, v.stage, v.text) for v in outcome.recipients.values()} == {
            (Kind.LATER, Stage.DOT, "451 not now")
        }
        assert session.sent == 0
        assert session.usable
        await session.close()


async def test_a_lone_dot_when_data_is_wanted_for_nobody(autojump_clock):
    async def script(server):
        await greet(server, b"PIPELINING")
        await server.hear(*GROUP)
        await server.say(b"250 ok\r\n550 a\r\n550 b\r\n354 go\r\n")
        await server.answer(b".", b"554 no recipients\r\n")
        await server.hear(*GROUP)
        await server.say(b"421 closing\r\n")

    async with Scripted(script) as scripted:
        session = await connect(scripted)
        outcome = await session.send(ENVELOPE, BODY, nothing)
        assert [v.text for v in outcome.recipients.values()] == ["550 a", "550 b"]
        assert (outcome.reply, outcome.dot_sent, session.usable) == (None, False, True)
        outcome = await session.send(ENVELOPE, BODY, nothing)
        assert {v.text for v in outcome.recipients.values()} == {"421 closing"}
        assert not session.usable
        await session.close()


async def test_the_dot_waits_for_before_dot(autojump_clock):
    committed = trio.Event()

    async def script(server):
        await greet(server, b"PIPELINING")
        await server.hear(*GROUP)
        await server.say(b"250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n")
        with trio.move_on_after(50) as early:
            await server.octets(1)
        assert early.cancelled_caught
        committed.set()
        await server.hear(*WIRE)
        await server.say(b"250 ok\r\n")

    async with Scripted(script) as scripted:
        session = await connect(scripted)
        assert (await session.send(ENVELOPE, BODY, committed.wait)).dot_sent
        await session.close()


@pytest.mark.parametrize("where", ["before_dot", "body"])
async def test_our_own_failure_sends_no_dot(where, autojump_clock):
    async def script(server):
        await greet(server, b"PIPELINING")
        await server.hear(*GROUP)
        await server.say(b"250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n")
        await server.hung_up()

    async def fail():
        await trio.testing.wait_all_tasks_blocked()
        raise ZeroDivisionError

    def broken_body():
        yield b"x\r\n"
        raise ZeroDivisionError

    async with Scripted(script) as scripted:
        session = await connect(scripted)
        with pytest.raises(ZeroDivisionError):
            if where == "body":
                await session.send(ENVELOPE, broken_body(), nothing)
            else:
                await session.send(ENVELOPE, BODY, fail)
        assert not session.usable


@pytest.mark.parametrize(
    ("ending", "network"),
    [(None, NetworkKind.CLOSED), (b"rubbish\r\n", None), (b"25", NetworkKind.CLOSED)],
)
async def test_cut_after_the_dot_is_doubt(ending, network, autojump_clock):
    async def script(server):
        await greet(server, b"PIPELINING")
        await server.hear(*GROUP)
        await server.say(b"250 ok\r\n250 ok\r\n550 no\r\n354 go\r\n")
        await server.hear(*WIRE)
        if ending:
            await server.say(ending)
        await server.close()

    async with Scripted(script) as scripted:
        session = await connect(scripted)
        with pytest.raises(DeliveryError) as caught:
            await session.send(ENVELOPE, BODY, nothing)
        error = caught.value
        assert error.dot_sent
        assert (error.verdict.kind, error.verdict.stage, error.verdict.network) == (Kind.DOUBT, Stage.DOT, network)
        assert [v.kind for v in error.recipients.values()] == [Kind.DOUBT, Kind.REJECTED]
        assert not session.usable


async def test_silence_after_the_dot_is_doubt(autojump_clock):
    async def script(server):
        await greet(server, b"PIPELINING")
        await server.hear(*GROUP)
        await server.say(b"250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n")
        await server.hear(*WIRE)
        await server.hung_up()

    async with Scripted(script) as scripted:
        session = await connect(scripted)
        with pytest.raises(DeliveryError) as caught:
            await session.send(ENVELOPE, BODY, nothing)
        assert (caught.value.verdict.kind, caught.value.verdict.network) == (Kind.DOUBT, NetworkKind.TIMEOUT)


@pytest.mark.parametrize("heard", range(4))
async def test_cut_before_the_dot_is_later(heard, autojump_clock):
    async def script(server):
        await greet(server)
        for command in GROUP[:heard]:
            await server.answer(command, b"250 ok\r\n")
        await server.hear(GROUP[heard])
        await server.close()

    async with Scripted(script) as scripted:
        session = await connect(scripted)
        with pytest.raises(DeliveryError) as caught:
            await session.send(ENVELOPE, BODY, nothing)
        assert not caught.value.dot_sent
        assert {v.kind for v in caught.value.recipients.values()} == {Kind.LATER}
        assert len(caught.value.recipients) == 2
        assert caught.value.verdict.stage == (Stage.MAIL, Stage.RCPT, Stage.RCPT, Stage.DATA)[heard]


async def test_many_recipients_go_in_groups(autojump_clock):
    everybody = tuple(f"{i}@x" for i in range(250))
    calls = []

    async def before_dot():
        calls.append("dot")
        await nothing()

    async def after_group(verdicts):
        calls.append(tuple(verdicts))
        assert {verdict.kind for verdict in verdicts.values()} == {Kind.ACCEPTED}
        await nothing()

    async def script(server):
        await greet(server, b"PIPELINING")
        for first in (0, 100, 200):
            group = everybody[first : first + 100]
            await server.hear(GROUP[0], *(b"RCPT TO:<%s>" % r.encode() for r in group), b"DATA")
            await server.say(b"250 ok\r\n" * (1 + len(group)) + b"354 go\r\n")
            await server.hear(*WIRE)
            if first == 200:
                await server.close()
            else:
                await server.say(b"250 queued\r\n")

    async with Scripted(script) as scripted:
        session = await connect(scripted)
        with pytest.raises(DeliveryError) as caught:
            await session.send(SmtpEnvelope("s@x", everybody), BODY, before_dot, after_group)
        kinds = [caught.value.recipients[r].kind for r in everybody]
        assert kinds == [Kind.ACCEPTED] * 200 + [Kind.DOUBT] * 50
        assert calls == ["dot", everybody[:100], "dot", everybody[100:200], "dot"]


async def test_a_big_body_in_blocks(autojump_clock):
    line = b"." * 998 + b"\r\n"

    async def script(server):
        await greet(server, b"PIPELINING")
        await server.hear(*GROUP)
        await server.say(b"250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n")
        assert await server.octets(1001 * 1000) == (b"." + line) * 1000
        await server.answer(b".", b"250 ok\r\n")

    async with Scripted(script) as scripted:
        session = await connect(scripted)
        assert (await session.send(ENVELOPE, [line * 1000], nothing)).dot_sent
        await session.close()


async def test_a_stray_reply_ends_the_session(autojump_clock):
    async def script(server):
        await greet(server, b"PIPELINING")
        await server.hear(*GROUP)
        await server.say(b"250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n")
        await server.hear(*WIRE)
        await server.say(b"250 ok\r\n250 stray\r\n")

    async with Scripted(script) as scripted:
        session = await connect(scripted)
        assert (await session.send(ENVELOPE, BODY, nothing)).reply.line == "250 ok"
        assert not session.usable
        await session.close()


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


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture(scope="module")
def upgrade(authority):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(HOST).configure_cert(context)
    return lambda server: Server(trio.SSLStream(server.stream, context, server_side=True, https_compatible=True))


@pytest.fixture
def trusting(authority):
    return TlsRules(ca=authority.cert_pem.bytes().decode(), required=True)


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


async def test_cancelled_while_sending(autojump_clock):
    async def script(server):
        await greet(server, b"PIPELINING")
        await server.hear(*GROUP)
        await server.hung_up()

    async with Scripted(script) as scripted:
        session = await connect(scripted)
        with trio.move_on_after(5) as scope:
            await session.send(ENVELOPE, BODY, nothing)
        assert scope.cancelled_caught
        assert not session.usable
        await session.quit()


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


GO = b"250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n"


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (b"\r\n250 ok\r\n", Kind.ACCEPTED),
        (b"250-ok\r\n", Kind.ACCEPTED),
        (b"250 ok", Kind.ACCEPTED),
        (b"250-Ok\r\n queued\r\n250 done\r\n", Kind.ACCEPTED),
        (b"250 " + b"x" * 5000 + b"\r\n", Kind.ACCEPTED),
        (b"thanks\r\n250 ok\r\n", Kind.ACCEPTED),
        (b"2xx\r\n", Kind.ACCEPTED),
        (b"550-no\r\n", Kind.REJECTED),
        (b"554 sp", Kind.REJECTED),
        (b"\r\n451 not now\r\n", Kind.LATER),
    ],
)
async def test_a_reply_to_the_dot_that_was_read_decides(reply, kind, autojump_clock):
    outcome, _ = await send_after(GO, last=reply)
    assert {verdict.kind for verdict in outcome.recipients.values()} == {kind}


@pytest.mark.parametrize("go", [b"354 go\r\n", b"\r\n354\r\n", b"350 go\r\n", b"3xx\r\n", b"354-a\r\n354 b\r\n"])
async def test_odd_replies_to_the_envelope(go, autojump_clock):
    outcome, _ = await send_after(b"\r\n250\tok\r\n251-a\r\n250 b\r\n250ok\r\n" + go, last=b"250 ok\r\n")
    assert {verdict.kind for verdict in outcome.recipients.values()} == {Kind.ACCEPTED}


@pytest.mark.parametrize(
    "replies",
    [
        b"250 ok\r\n250 ok\r\n550 no\r\n250 ok\r\n354 go\r\n",
        b"250 ok\r\n550 a\r\n550 a\r\n250 ok\r\n354 go\r\n",
        b"550 other\r\n250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n",
        b"250 ok\r\n354 go\r\n250 ok\r\n250 ok\r\n",
        GO + b"250 queued\r\n",
        GO + b"550 other\r\n",
    ],
)
async def test_replies_out_of_step_are_no_verdicts(replies, autojump_clock):
    error, usable = await send_after(replies)
    assert isinstance(error, DeliveryError)
    assert error.out_of_step
    assert (error.recipients, error.dot_sent, error.verdict.kind) == ({}, False, Kind.LATER)
    assert not usable


@pytest.mark.parametrize(("last", "step"), [(b"250 ok\r\n", True), (b"354 go\r\n", False), (b"503 no\r\n", False)])
async def test_refusals_for_good_are_proven(last, step, autojump_clock):
    result, usable = await send_after(b"250 ok\r\n550 a\r\n550 b\r\n554 nobody\r\n", last=last)
    assert isinstance(result, DeliveryError) is not step
    assert usable is step
    if step:
        assert [verdict.text for verdict in result.recipients.values()] == ["550 a", "550 b"]


@pytest.mark.parametrize("at", [b"MAIL FROM:<s@x>", b"RCPT TO:<a@x>", None])
async def test_a_dot_answered_twice_fails_nobody_else(at, autojump_clock):
    """One command at a time, the second answer may come just after MAIL or RCPT; a refusal of its own still counts."""
    one = SmtpEnvelope("s@x", ("a@x",))

    async def script(server):
        await greet(server)
        await server.hear(b"MAIL FROM:<s@x>")
        await server.say(b"250 ok\r\n")
        await server.hear(b"RCPT TO:<a@x>")
        await server.say(b"250 ok\r\n")
        await server.hear(b"DATA")
        await server.say(b"354 go\r\n")
        await server.hear(*WIRE)
        await server.say(b"250 ok\r\n")
        for command, own in ((b"MAIL FROM:<s@x>", b"250 ok\r\n"), (b"RCPT TO:<a@x>", b"550 own\r\n")):
            await server.hear(command)
            if command == at:
                await server.say(b"550 other\r\n")
            await server.say(own)
            if command == at:
                break
        await server.hear(b"QUIT")
        if at is None:
            await server.say(b"221 bye\r\n")
        await server.hung_up()
        await server.close()

    async with Scripted(script) as scripted:
        session = await connect(scripted)
        await session.send(one, BODY, nothing)
        if at is None:
            outcome = await session.send(one, BODY, nothing)
            assert [verdict.text for verdict in outcome.recipients.values()] == ["550 own"]
        else:
            with pytest.raises(DeliveryError) as caught:
                await session.send(one, BODY, nothing)
            assert (caught.value.out_of_step, caught.value.recipients) == (True, {})
        assert not session.usable
        await session.close()


class OverSockets(Scripted):
    """A script over a real pair of sockets, on which is seen whether anything has come."""

    async def dial(self, host: str, port: int) -> trio.abc.Stream:
        ours, theirs = (trio.SocketStream(trio.socket.from_stdlib_socket(each)) for each in socket.socketpair())
        self.socket = ours.socket
        self._nursery.start_soon(self._run, theirs)
        return ours


@pytest.mark.parametrize("secure", [False, True])
async def test_a_reply_nobody_asked_for_voids_the_next_transaction(secure, upgrade, trusting):
    taken = trio.Event()

    async def script(server):
        server = upgrade(server) if secure else server
        await greet(server, b"PIPELINING")
        for _ in range(2):
            await server.hear(*GROUP)
            await server.say(GO)
            await server.hear(*WIRE)
            await server.say(b"250 ok\r\n")
        await taken.wait()
        await server.say(b"550 other\r\n")
        await server.hung_up()
        await server.close()

    with trio.fail_after(20):
        async with OverSockets(script) as scripted:
            session = await connect(scripted, secure=secure, tls=trusting if secure else None)
            for _ in range(2):
                await session.send(ENVELOPE, BODY, nothing)
            assert session.usable
            taken.set()
            await trio.lowlevel.wait_readable(scripted.socket)
            with pytest.raises(DeliveryError, match="550 other") as caught:
                await session.send(ENVELOPE, BODY, nothing)
            assert caught.value.out_of_step
            assert caught.value.recipients == {}


async def test_a_server_that_refuses_while_we_write_has_the_last_word(autojump_clock):
    async def script(server):
        await greet(server, b"PIPELINING")
        await server.hear(*GROUP)
        await server.say(GO)
        await server.octets(100_000)
        await server.say(b"552 5.3.4 too big\r\n")
        await server.close()

    async with Scripted(script) as scripted:
        session = await connect(scripted)
        outcome = await session.send(ENVELOPE, [b"x" * 998 + b"\r\n"] * 1000, nothing)
        assert {(v.kind, v.text) for v in outcome.recipients.values()} == {(Kind.REJECTED, "552 5.3.4 too big")}
        assert not session.in_flight
        await session.close()


@pytest.mark.parametrize(
    "full", [b"452 4.5.3 Too many recipients", b"452 enough", b"552 5.5.3 too many", b"452-4.5.3 a\r\n452 b"]
)
async def test_those_beyond_the_servers_limit_go_at_once(full, autojump_clock):
    everybody = tuple(f"{i}@x" for i in range(7))
    groups = []

    async def after_group(verdicts):
        groups.append(list(verdicts))
        await nothing()

    async def take(server, recipients, accepted):
        await server.hear(GROUP[0], *(b"RCPT TO:<%s>" % r.encode() for r in recipients), b"DATA")
        late = len(recipients) - accepted
        await server.say(b"250 ok\r\n" * (1 + accepted) + (full + b"\r\n") * late + b"354 go\r\n")
        await server.hear(*WIRE)
        await server.say(b"250 queued\r\n")

    async def script(server):
        await greet(server, b"PIPELINING")
        await take(server, everybody, 3)
        await take(server, everybody[3:6], 3)
        await take(server, everybody[6:], 1)
        # The limit is known from the first time on.
        await take(server, everybody[:3], 3)
        await take(server, everybody[3:6], 3)
        await take(server, everybody[6:], 1)

    async with Scripted(script) as scripted:
        session = await connect(scripted)
        for _ in range(2):
            outcome = await session.send(SmtpEnvelope("s@x", everybody), BODY, nothing, after_group)
            assert {verdict.kind for verdict in outcome.recipients.values()} == {Kind.ACCEPTED}
            assert list(outcome.recipients) == list(everybody)
        assert groups == [list(everybody[:3]), list(everybody[3:6])] * 2
        await session.close()


async def test_no_progress_is_later(autojump_clock):
    outcome, _ = await send_after(b"250 ok\r\n452 4.5.3 no\r\n452 4.5.3 no\r\n503 nobody\r\n")
    assert [verdict.kind for verdict in outcome.recipients.values()] == [Kind.LATER, Kind.LATER]


async def test_a_server_that_wants_a_login_after_all_refuses_no_message(autojump_clock):
    outcome, _ = await send_after(b"530 5.7.0 Authentication required\r\n503 a\r\n503 b\r\n503 c\r\n")
    assert {(verdict.kind, verdict.stage) for verdict in outcome.recipients.values()} == {
        (Kind.LOGIN_REFUSED, Stage.AUTH)
    }


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
    assert error.verdict.text == "The server did not greet us as an SMTP server does"
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


class OverTcp(Scripted):
    """A script over a TCP connection with small buffers: what is written is on its way until it is read."""

    async def dial(self, host: str, port: int) -> trio.abc.Stream:
        with trio.socket.socket() as listening:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32 * 1024)
            await listening.bind(("127.0.0.1", 0))
            listening.listen()
            ours = trio.socket.socket()
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 32 * 1024)
            await ours.connect(listening.getsockname())
            theirs, _ = await listening.accept()
        self._nursery.start_soon(self._run, trio.SocketStream(theirs))
        return trio.SocketStream(ours)


@pytest.mark.parametrize("reads_on", [False, True])
@pytest.mark.parametrize(
    "reply", [b"552 5.3.4 too big\r\n", b"552-5.3.4 too\r\n552 5.3.4 big\r\n", b"552 5.3.4 too big"]
)
async def test_a_refusal_amid_the_message_and_the_end_of_the_connection(reply, reads_on):
    """The server closes with what it has not read, or says no more and reads on to the end."""

    async def script(server):
        await greet(server, b"PIPELINING")
        await server.hear(*GROUP)
        await server.say(GO)
        await server.octets(100_000)
        await server.say(reply)
        if reads_on:
            await server.stream.send_eof()
            while await server.stream.receive_some():
                pass
        await server.close()

    with trio.fail_after(20):
        async with OverTcp(script) as scripted:
            session = await connect(scripted)
            outcome = await session.send(ENVELOPE, [b"x" * 998 + b"\r\n"] * 1000, nothing)
            assert {(v.kind, v.code) for v in outcome.recipients.values()} == {(Kind.REJECTED, 552)}
            assert not session.in_flight
            assert not session.usable
            await session.close()


async def test_a_refusal_amid_the_message_that_is_read_on_may_be_of_another_one():
    """Before the end of the message no reply to it is due: it may be the second one to the message before."""

    async def script(server):
        await greet(server, b"PIPELINING")
        await server.hear(*GROUP)
        await server.say(GO)
        await server.octets(100_000)
        await server.say(b"554 no\r\n")
        while await server.stream.receive_some():
            pass
        await server.close()

    with trio.fail_after(20):
        async with OverTcp(script) as scripted:
            session = await connect(scripted)
            with pytest.raises(DeliveryError, match="554 no") as caught:
                await session.send(ENVELOPE, [b"x" * 998 + b"\r\n"] * 1000, nothing)
            assert caught.value.out_of_step
            assert not session.in_flight
