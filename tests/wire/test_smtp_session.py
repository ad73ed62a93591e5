"""The session against a server that follows a script: connecting, TLS, login, sending, and every way it breaks."""

import base64
import ssl

import pytest
import trio
import trio.testing
import trustme
from imap_script import Scripted, Server

from engine.errors import NetworkError, NetworkKind
from engine.sasl import Credentials
from engine.smtp.session import DeliveryError, Envelope, SmtpEndpoint, SmtpSession
from engine.smtp.verdict import Kind, Stage
from engine.trace import Trace
from engine.transport import TlsRules

HOST = "smtp.example.com"
PASSWORD = Credentials(user="u", password="geheim", access_token=None)
TOKEN = Credentials(user="u", password=None, access_token="t0ken")
PLAIN = base64.b64encode(b"\0u\0geheim")
XOAUTH2 = base64.b64encode(b"user=u\x01auth=Bearer t0ken\x01\x01")
ENVELOPE = Envelope("s@x", ("a@x", "b@x"))
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
        await server.answer(GROUP[2], b"550 b\r\n")
        await server.answer(b"RSET", b"250 ok\r\n")
        for command in GROUP[:3]:
            await server.answer(command, b"250 ok\r\n")
        await server.answer(b"DATA", b"354 go\r\n")
        await server.hear(*WIRE)
        await server.say(b"451 not now\r\n")

    async with Scripted(script) as scripted:
        session = await connect(scripted)
        outcome = await session.send(ENVELOPE, BODY, nothing)
        assert [v.kind for v in outcome.recipients.values()] == [Kind.LATER, Kind.REJECTED]
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
    [(None, NetworkKind.CLOSED), (b"rubbish\r\n", None), (b"250-half\r\n", NetworkKind.CLOSED)],
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
            await session.send(Envelope("s@x", everybody), iter(BODY), before_dot, after_group)
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
        ([b"AUTH PLAIN"], PASSWORD, [b"334 \r\n"], Kind.LATER, None, "challenge makes no sense"),
        ([b"AUTH NTLM GSSAPI"], PASSWORD, [], Kind.LOGIN_REFUSED, None, "offers AUTH NTLM GSSAPI"),
        ([], PASSWORD, [], Kind.LOGIN_REFUSED, None, "offers no AUTH"),
    ],
)
async def test_refused_login(offers, credentials, dialogue, kind, code, text, autojump_clock):
    async def script(server):
        await greet(server, *offers)
        for reply in dialogue:
            await server.line()
            await server.say(reply)
        await server.hung_up()

    verdict = (await refused(script, credentials=credentials)).verdict
    assert (verdict.kind, verdict.stage, verdict.code) == (kind, Stage.AUTH, code)
    assert text in verdict.text


@pytest.mark.parametrize("greeting", [b"554 go away\r\n", b"421 busy\r\n", b"250 ok\r\n", b"hello\r\n", b""])
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
