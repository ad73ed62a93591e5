"""From dialling to being logged in, against scripted servers."""

import base64
import ssl

import pytest
import trio
import trustme
from imap_script import CREDENTIALS, HELLO, Scripted, Server

from engine import sasl
from engine.errors import LoginRefused, NetworkError, NetworkKind, ProtocolError
from engine.imap import connection as session_module
from engine.imap.dialogue import COMMAND_SECONDS
from engine.transcript import Trace
from engine.transport import TlsRules

PLAIN = base64.b64encode(b"\0u@example.com\0geheim")
LOGIN = b'A1 LOGIN "u@example.com" "geheim"'
TOKEN = sasl.Credentials(user="u@example.com", password=None, access_token="t0ken")


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture(scope="module")
def certificate(authority):
    return authority.issue_cert("imap.example.com")


@pytest.fixture
def server_tls(certificate):
    async def upgrade(server: Server) -> Server:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        certificate.configure_cert(context)
        stream = trio.SSLStream(server.stream, context, server_side=True, https_compatible=True)
        return Server(stream)

    return upgrade


@pytest.fixture
def trusting(authority):
    return TlsRules(ca=authority.cert_pem.bytes().decode())


async def test_login_command(autojump_clock):
    async def script(server):
        await server.say(b"* OK [CAPABILITY IMAP4rev1] hello\r\n")
        await server.answer(LOGIN, b"A1 OK [CAPABILITY IMAP4rev1 IDLE] in\r\n")
        await server.hung_up()

    async with Scripted(script) as scripted:
        session = await scripted.connect()
        assert scripted.dials == [("imap.example.com", 143)]
        assert session.capabilities == {"IMAP4REV1", "IDLE"}
        assert session.usable
        assert session.tls_version is None
        assert session.server_id == {}
        await session.close()
        assert not session.usable


async def test_byte_by_byte(autojump_clock):
    async def script(server):
        await server.say_bytewise(b"* OK [CAPABILITY IMAP4rev1] hello\r\n")
        await server.hear(LOGIN)
        await server.say_bytewise(b"* CAPABILITY IMAP4rev1 ID\r\nA1 OK in\r\n")
        await server.hear(b'A2 ID ("name" "engine" "version" "1")')
        await server.say_bytewise(b'* ID ("name" {7}\r\nDovecot)\r\nA2 OK\r\n')
        await server.hung_up()

    async with Scripted(script) as scripted:
        session = await scripted.connect(client_id={"name": "engine", "version": "1"})
        assert session.server_id == {"name": "Dovecot"}
        await session.close()


async def test_capabilities_are_asked_for_when_not_told(autojump_clock):
    async def script(server):
        await server.say(b"* OK hello\r\n")
        await server.answer(b"A1 CAPABILITY", b"* CAPABILITY IMAP4rev1\r\nA1 OK\r\n")
        await server.answer(b'A2 LOGIN "u@example.com" "geheim"', b"A2 OK in\r\n")
        await server.answer(b"A3 CAPABILITY", b"* CAPABILITY IMAP4rev1 MOVE\r\nA3 OK\r\n")
        await server.hung_up()

    async with Scripted(script) as scripted:
        session = await scripted.connect()
        assert session.capabilities == {"IMAP4REV1", "MOVE"}
        await session.close()


async def test_preauth_needs_no_login(autojump_clock):
    async def script(server):
        await server.say(HELLO)
        await server.hung_up()

    async with Scripted(script) as scripted:
        session = await scripted.connect()
        assert session.capabilities == {"IMAP4REV1", "IDLE"}
        await session.close()


@pytest.mark.parametrize("reply", [b"A1 NO no id for you\r\n", b"A1 BAD what\r\n", b"* ID NIL\r\nA1 OK\r\n"])
async def test_id_is_a_courtesy(reply, autojump_clock):
    async def script(server):
        await server.say(b"* PREAUTH [CAPABILITY IMAP4rev1 ID] hello\r\n")
        await server.answer(b'A1 ID ("name" "engine")', reply)
        await server.hung_up()

    async with Scripted(script) as scripted:
        session = await scripted.connect()
        assert session.server_id == {}
        assert session.usable
        await session.close()


# Ways to log in


@pytest.mark.parametrize(
    ("capabilities", "credentials", "dialogue"),
    [
        (b"AUTH=PLAIN SASL-IR", CREDENTIALS, [(b"A1 AUTHENTICATE PLAIN " + PLAIN, b"")]),
        (b"AUTH=PLAIN", CREDENTIALS, [(b"A1 AUTHENTICATE PLAIN", b"+ \r\n"), (PLAIN, b"")]),
        (
            b"AUTH=LOGIN SASL-IR",
            CREDENTIALS,
            [
                (b"A1 AUTHENTICATE LOGIN", b"+ VXNlcm5hbWU6\r\n"),
                (base64.b64encode(b"u@example.com"), b"+ UGFzc3dvcmQ6\r\n"),
                (base64.b64encode(b"geheim"), b""),
            ],
        ),
        (b"LOGINDISABLED AUTH=PLAIN SASL-IR", CREDENTIALS, [(b"A1 AUTHENTICATE PLAIN " + PLAIN, b"")]),
        (b"AUTH=GSSAPI", CREDENTIALS, [(LOGIN, b"")]),
        (
            b"AUTH=XOAUTH2 SASL-IR",
            TOKEN,
            [
                (
                    b"A1 AUTHENTICATE XOAUTH2 " + base64.b64encode(b"user=u@example.com\x01auth=Bearer t0ken\x01\x01"),
                    b"",
                )
            ],
        ),
    ],
)
async def test_mechanisms(capabilities, credentials, dialogue, autojump_clock):
    async def script(server):
        await server.say(b"* OK [CAPABILITY IMAP4rev1 " + capabilities + b"] hello\r\n")
        for line, reply in dialogue:
            await server.answer(line, reply)
        await server.say(b"A1 OK [CAPABILITY IMAP4rev1] in\r\n")
        await server.hung_up()

    trace = Trace()
    async with Scripted(script) as scripted:
        session = await scripted.connect(credentials=credentials, trace=trace)
        await session.close()
    transcript = "\n".join(trace.lines())
    for secret in ("geheim", "t0ken", PLAIN.decode(), base64.b64encode(b"geheim").decode()):
        assert secret not in transcript
    assert "[secret]" in transcript


@pytest.mark.parametrize(
    ("capabilities", "credentials"),
    [
        (b"LOGINDISABLED", CREDENTIALS),
        (b"LOGINDISABLED AUTH=GSSAPI", CREDENTIALS),
        (b"AUTH=PLAIN", TOKEN),
        (b"", TOKEN),
    ],
)
async def test_no_way_to_log_in(capabilities, credentials, autojump_clock):
    async def script(server):
        await server.say(b"* OK [CAPABILITY IMAP4rev1 " + capabilities + b"] hello\r\n")
        await server.hung_up()

    async with Scripted(script) as scripted:
        with pytest.raises(LoginRefused) as caught:
            await scripted.connect(credentials=credentials)
        assert caught.value.code is None


async def test_credentials_imap_cannot_carry(autojump_clock):
    async def script(server):
        await server.say(b"* OK [CAPABILITY IMAP4rev1] hello\r\n")
        await server.hung_up()

    async with Scripted(script) as scripted:
        with pytest.raises(LoginRefused, match="cannot be sent"):
            await scripted.connect(credentials=sasl.Credentials(user="u", password="a\0b", access_token=None))


@pytest.mark.parametrize(
    ("reply", "response", "code", "temporary"),
    [
        (
            b"A1 NO [AUTHENTICATIONFAILED] Authentication failed.\r\n",
            "A1 NO [AUTHENTICATIONFAILED] Authentication failed.",
            "AUTHENTICATIONFAILED",
            False,
        ),
        (b"A1 NO [UNAVAILABLE] later\r\n", "A1 NO [UNAVAILABLE] later", "UNAVAILABLE", True),
        (b"A1 NO [LIMIT] too many\r\n", "A1 NO [LIMIT] too many", "LIMIT", True),
        (b"A1 NO LOGIN failed.\r\n", "A1 NO LOGIN failed.", None, False),
        (b"A1 BAD Command Argument Error. 12\r\n", "A1 BAD Command Argument Error. 12", None, False),
        (b"* BYE go\r\nA1 NO [ALERT] out\r\n", "A1 NO [ALERT] out", "ALERT", False),
    ],
)
async def test_login_refused(reply, response, code, temporary, autojump_clock):
    async def script(server):
        await server.say(b"* OK [CAPABILITY IMAP4rev1] hello\r\n")
        await server.answer(LOGIN, reply)
        await server.hung_up()

    async with Scripted(script) as scripted:
        with pytest.raises(LoginRefused) as caught:
            await scripted.connect()
    error = caught.value
    assert (error.response, error.code, error.temporary) == (response, code, temporary)


async def test_oauth_refusal_after_its_challenge(autojump_clock):
    async def script(server):
        await server.say(b"* OK [CAPABILITY IMAP4rev1 AUTH=XOAUTH2 SASL-IR] hello\r\n")
        await server.line()
        await server.say(b"+ " + base64.b64encode(b'{"status":"400"}') + b"\r\n")
        await server.answer(b"", b"A1 NO [AUTHENTICATIONFAILED] Invalid credentials (Failure)\r\n")

    async with Scripted(script) as scripted:
        with pytest.raises(LoginRefused) as caught:
            await scripted.connect(credentials=TOKEN)
        assert caught.value.code == "AUTHENTICATIONFAILED"


# Greetings that lead nowhere


async def test_bye_for_a_greeting(autojump_clock):
    async def script(server):
        await server.say(b"* BYE [UNAVAILABLE] Too many connections\r\n")
        await server.hung_up()

    async with Scripted(script) as scripted:
        with pytest.raises(NetworkError, match="Too many connections") as caught:
            await scripted.connect()
        assert caught.value.kind is NetworkKind.CLOSED


async def test_closed_for_a_greeting(autojump_clock):
    async def script(server):
        await server.close()

    async with Scripted(script) as scripted:
        with pytest.raises(NetworkError) as caught:
            await scripted.connect()
        assert caught.value.kind is NetworkKind.CLOSED


@pytest.mark.parametrize(
    "greeting", [b"220 smtp.example.com ESMTP\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"* (\r\n"]
)
async def test_another_protocol(greeting, autojump_clock):
    async def script(server):
        await server.say(greeting)
        await server.hung_up()

    async with Scripted(script) as scripted:
        with pytest.raises(ProtocolError):
            await scripted.connect()


@pytest.mark.parametrize("greeting", [b"", b"* OK hello", b"* OK hello\r"])
async def test_a_silent_server(greeting, autojump_clock):
    async def script(server):
        await server.say(greeting)
        await server.hung_up()

    start = trio.current_time()
    async with Scripted(script) as scripted:
        with pytest.raises(NetworkError) as caught:
            await scripted.connect()
    assert caught.value.kind is NetworkKind.TIMEOUT
    assert trio.current_time() - start == pytest.approx(session_module.CONNECT_SECONDS, abs=2)


async def test_a_trickling_server_has_a_limit_in_all(autojump_clock):
    async def script(server):
        await server.say(b"* OK [CAPABILITY IMAP4rev1] hello\r\n")
        while True:
            try:
                await server.say(b"* OK patience\r\n")
            except trio.BrokenResourceError:
                return
            await trio.sleep(10)

    start = trio.current_time()
    async with Scripted(script) as scripted:
        with pytest.raises(NetworkError) as caught:
            await scripted.connect()
        assert caught.value.kind is NetworkKind.TIMEOUT
        assert trio.current_time() - start == pytest.approx(COMMAND_SECONDS, abs=2)


async def test_closed_during_login(autojump_clock):
    async def script(server):
        await server.say(b"* OK [CAPABILITY IMAP4rev1] hello\r\n")
        await server.answer(LOGIN, b"* BYE server is going down\r\n")
        await server.close()

    async with Scripted(script) as scripted:
        with pytest.raises(NetworkError, match="server is going down"):
            await scripted.connect()


async def test_cancelled_while_connecting_leaves_nothing_open(autojump_clock):
    async def script(server):
        await server.say(b"* OK [CAPABILITY IMAP4rev1] hello\r\n")
        await server.hear(LOGIN)
        await server.hung_up()

    async with Scripted(script) as scripted:
        with trio.move_on_after(5) as scope:
            await scripted.connect()
        assert scope.cancelled_caught


# TLS


async def test_implicit_tls(server_tls, trusting):
    async def script(server):
        server = await server_tls(server)
        await server.say(b"* OK [CAPABILITY IMAP4rev1] hello\r\n")
        await server.answer(LOGIN, b"A1 OK [CAPABILITY IMAP4rev1] in\r\n")
        await server.hung_up()

    async with Scripted(script) as scripted:
        session = await scripted.connect(secure=True, tls=trusting)
        assert scripted.dials == [("imap.example.com", 993)]
        assert session.tls_version == "TLSv1.3"
        await session.close()


async def test_starttls(server_tls, trusting):
    """What was said in clear is forgotten: the capabilities are asked for again, and only they decide."""

    async def script(server):
        await server.say(b"* OK [CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED] hello\r\n")
        await server.answer(b"A1 STARTTLS", b"A1 OK begin\r\n")
        server = await server_tls(server)
        await server.answer(b"A2 CAPABILITY", b"* CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR\r\nA2 OK\r\n")
        await server.answer(b"A3 AUTHENTICATE PLAIN " + PLAIN, b"A3 OK [CAPABILITY IMAP4rev1] in\r\n")
        await server.hung_up()

    async with Scripted(script) as scripted:
        session = await scripted.connect(tls=trusting)
        assert session.tls_version == "TLSv1.3"
        await session.close()


@pytest.mark.parametrize("behind", [b"* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\n", b"A2 OK in\r\n", b"x"])
async def test_starttls_injection(behind, trusting):
    async def script(server):
        await server.say(b"* OK [CAPABILITY IMAP4rev1 STARTTLS] hello\r\n")
        await server.answer(b"A1 STARTTLS", b"A1 OK begin\r\n" + behind)
        await server.hung_up()

    async with Scripted(script) as scripted:
        with pytest.raises(ProtocolError, match="STARTTLS"):
            await scripted.connect(tls=trusting)


async def test_starttls_refused_is_no_reason_for_clear_text(autojump_clock):
    async def script(server):
        await server.say(b"* OK [CAPABILITY IMAP4rev1 STARTTLS AUTH=PLAIN] hello\r\n")
        await server.answer(b"A1 STARTTLS", b"A1 NO not today\r\n")
        await server.hung_up()

    async with Scripted(script) as scripted:
        with pytest.raises(NetworkError, match="not today") as caught:
            await scripted.connect()
        assert caught.value.kind is NetworkKind.TLS


@pytest.mark.parametrize("greeting", [b"* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] hello\r\n", HELLO])
async def test_tls_required_and_not_to_be_had(greeting, autojump_clock):
    async def script(server):
        await server.say(greeting)
        await server.hung_up()

    async with Scripted(script) as scripted:
        with pytest.raises(NetworkError, match="STARTTLS") as caught:
            await scripted.connect(tls=TlsRules(required=True))
        assert caught.value.kind is NetworkKind.TLS


@pytest.mark.parametrize(
    ("secure", "rules", "code"),
    [
        (True, {}, "UNABLE_TO_GET_ISSUER_CERT_LOCALLY"),
        (False, {}, "UNABLE_TO_GET_ISSUER_CERT_LOCALLY"),
        (False, {"servername": "other.example.com"}, "ERR_TLS_CERT_ALTNAME_INVALID"),
    ],
)
async def test_bad_certificates(secure, rules, code, server_tls, trusting):
    async def script(server):
        if not secure:
            await server.say(b"* OK [CAPABILITY IMAP4rev1 STARTTLS AUTH=PLAIN] hello\r\n")
            await server.answer(b"A1 STARTTLS", b"A1 OK begin\r\n")
        server = await server_tls(server)
        await server.hung_up()

    tls = TlsRules(ca=trusting.ca if rules else None, **rules)
    async with Scripted(script) as scripted:
        with pytest.raises(NetworkError) as caught:
            await scripted.connect(secure=secure, tls=tls)
        assert (caught.value.kind, caught.value.code) == (NetworkKind.TLS, code)
