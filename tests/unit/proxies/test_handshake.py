"""What is said to each kind of proxy and how its answers are taken, octet by octet."""

from __future__ import annotations

import base64

import pytest

from engine.proxies.handshake import MAX_HEAD, handshake
from engine.proxies.proxy import ProxyError, parse

GREETED, ASKED4 = b"\x05\x00", b"\x05\x01\x00\x01\xc0\x00\x02\x07\x03\xe1"
BOUND = b"\x00\x01\x00\x00\x00\x00\x00\x00"
HTTP = b"CONNECT 192.0.2.7:993 HTTP/1.1\r\nHost: 192.0.2.7:993\r\n\r\n"


def talk(url: str, answers: bytes, host: str = "192.0.2.7", port: int = 993) -> tuple[bytes, bytes]:
    """What was sent, and what of `answers` was left for the target. Ends with EOFError where they did not suffice."""
    talking = handshake(parse(url), host, port)
    sent = b""
    step = next(talking)
    while True:
        sent += step.send
        if len(answers) < step.wanted:
            raise EOFError
        octets, answers = answers[: step.wanted], answers[step.wanted :]
        try:
            step = talking.send(octets)
        except StopIteration:
            return sent, answers


@pytest.mark.parametrize(
    ("url", "host", "answers", "sent"),
    [
        ("socks5://p", "192.0.2.7", GREETED + b"\x05\x00" + BOUND, b"\x05\x01\x00" + ASKED4),
        (
            "socks5://p",
            "2001:db8::7",
            GREETED + b"\x05\x00\x00\x04" + bytes(18),
            b"\x05\x01\x00\x05\x01\x00\x04" + bytes.fromhex("20010db8000000000000000000000007") + b"\x03\xe1",
        ),
        (
            "socks5://p",
            "imap.example",
            GREETED + b"\x05\x00\x00\x03\x04name\x00\x00",
            b"\x05\x01\x00\x05\x01\x00\x03\x0cimap.example\x03\xe1",
        ),
        ("socks5://p", "192.0.2.7", GREETED + b"\x05\x00\x00\x03\x00\x00\x00", b"\x05\x01\x00" + ASKED4),
        (
            "socks5://jo:se%20cret@p",
            "192.0.2.7",
            b"\x05\x02\x01\x00\x05\x00" + BOUND,
            b"\x05\x02\x00\x02\x01\x02jo\x07se cret" + ASKED4,
        ),
        ("socks5://jo@p", "192.0.2.7", b"\x05\x02\x01\x00\x05\x00" + BOUND, b"\x05\x02\x00\x02\x01\x02jo\x00" + ASKED4),
        # A proxy that lets everybody in need not be told the login.
        ("socks5://jo:secret@p", "192.0.2.7", GREETED + b"\x05\x00" + BOUND, b"\x05\x02\x00\x02" + ASKED4),
        ("socks4://p", "192.0.2.7", b"\x00\x5a" + bytes(6), b"\x04\x01\x03\xe1\xc0\x00\x02\x07\x00"),
        ("socks4://jo@p", "192.0.2.7", b"\x00\x5a" + bytes(6), b"\x04\x01\x03\xe1\xc0\x00\x02\x07jo\x00"),
        (
            "socks4a://jo@p",
            "imap.example",
            b"\x00\x5a" + bytes(6),
            b"\x04\x01\x03\xe1\x00\x00\x00\x01jo\x00imap.example\x00",
        ),
        ("http://p", "192.0.2.7", b"HTTP/1.1 200 OK\r\n\r\n", HTTP),
        ("https://p", "192.0.2.7", b"HTTP/1.0 200 Connection established\r\nX: y\r\n\r\n", HTTP),
        ("http://p", "192.0.2.7", b"HTTP/1.1 200\r\n\r\n", HTTP),
        ("http://p", "192.0.2.7", b"HTTP/1.1 299 Odd\nX: y\n\n", HTTP),
        ("http://p", "192.0.2.7", b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n", HTTP),
        ("http://p", "192.0.2.7", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", HTTP),
        ("http://p", "192.0.2.7", b"HTTP/1.1 103 Early\r\nX: y\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", HTTP),
        ("http://p", "2001:db8::7", b"HTTP/1.1 200 OK\r\n\r\n", HTTP.replace(b"192.0.2.7", b"[2001:db8::7]")),
        ("http://p", "imap.example", b"HTTP/1.1 200 OK\r\n\r\n", HTTP.replace(b"192.0.2.7", b"imap.example")),
        (
            "http://jo:s%C3%A9@p",
            "192.0.2.7",
            b"HTTP/1.1 200 OK\r\n\r\n",
            HTTP[:-2] + b"Proxy-Authorization: Basic " + base64.b64encode("jo:sé".encode()) + b"\r\n\r\n",
        ),
    ],
)
@pytest.mark.parametrize("first", [b"", b"* OK ready\r\n", b"\r\n\r\n", b"\n"])
def test_a_tunnel_and_not_an_octet_more(url: str, host: str, answers: bytes, sent: bytes, first: bytes) -> None:
    """What the target says first stays in the stream, although it may come in one piece with the proxy's answer."""
    assert talk(url, answers + first, host) == (sent, first)


@pytest.mark.parametrize(
    ("url", "answers", "code", "says"),
    [
        ("socks5://p", b"\x05\xff", "EPROXYAUTH", "wants a login"),
        ("socks5://u:secret@p", b"\x05\xff", "EPROXYAUTH", "takes no login with user and password"),
        ("socks5://u:secret@p", b"\x05\x02\x01\x01", "EPROXYAUTH", "refuses the login"),
        ("socks5://p", b"\x05\x02", "EPROXY", "does not keep to SOCKS5"),
        ("socks5://p", b"\x05\x01", "EPROXY", "does not keep to SOCKS5"),
        ("socks5://p", b"HT", "EPROXY", "does not speak SOCKS5"),
        ("socks5://p", b"\x04\x00", "EPROXY", "does not speak SOCKS5"),
        ("socks5://p", GREETED + b"\x04\x00", "EPROXY", "does not keep to SOCKS5"),
        ("socks5://p", GREETED + b"\x05\x00\x00\x02", "EPROXY", "does not keep to SOCKS5"),
        ("socks5://p", GREETED + b"\x05\x01", "EPROXYTARGET", "192.0.2.7:993: a general failure"),
        ("socks5://p", GREETED + b"\x05\x02", "EPROXYDENIED", "192.0.2.7:993: its rules do not allow it"),
        ("socks5://p", GREETED + b"\x05\x03", "EPROXYTARGET", "the network cannot be reached"),
        ("socks5://p", GREETED + b"\x05\x04", "EPROXYTARGET", "the host cannot be reached"),
        ("socks5://p", GREETED + b"\x05\x05", "EPROXYTARGET", "refused there"),
        ("socks5://p", GREETED + b"\x05\x06", "EPROXYTARGET", "no answer in time"),
        ("socks5://p", GREETED + b"\x05\x07", "EPROXYDENIED", "makes no connections"),
        ("socks5://p", GREETED + b"\x05\x08", "EPROXYTARGET", "type of address"),
        ("socks5://p", GREETED + b"\x05\x99", "EPROXYTARGET", "failure 153"),
        ("socks4://p", b"\x00\x5b" + bytes(6), "EPROXYTARGET", "192.0.2.7:993: refused or failed"),
        ("socks4://p", b"\x00\x5c" + bytes(6), "EPROXYAUTH", "identd"),
        ("socks4://p", b"\x00\x5d" + bytes(6), "EPROXYAUTH", "another user"),
        ("socks4://p", b"\x05\x5a" + bytes(6), "EPROXY", "does not speak SOCKS4"),
        ("socks4://p", b"220 smtp", "EPROXY", "does not speak SOCKS4"),
        ("http://p", b"HTTP/1.1 407 secret\r\n\r\n", "EPROXYAUTH", "wants a login (status 407)"),
        ("http://u:secret@p", b"HTTP/1.1 407 secret\r\n\r\n", "EPROXYAUTH", "refuses the login (status 407)"),
        ("http://u:secret@p", b"HTTP/1.1 401 secret\r\n\r\n", "EPROXYAUTH", "refuses the login (status 401)"),
        ("http://p", b"HTTP/1.1 403 secret\r\n\r\n", "EPROXYDENIED", "192.0.2.7:993: its answer is status 403"),
        ("http://p", b"HTTP/1.1 405 No\r\n\r\n", "EPROXYDENIED", "status 405"),
        ("http://p", b"HTTP/1.1 302 Found\r\n\r\n", "EPROXYDENIED", "status 302"),
        ("http://p", b"HTTP/1.1 500 No\r\n\r\n", "EPROXYTARGET", "status 500"),
        ("http://p", b"HTTP/1.1 502 No\r\n\r\n", "EPROXYTARGET", "status 502"),
        ("http://p", b"HTTP/1.1 503 No\r\n\r\n", "EPROXYTARGET", "status 503"),
        ("http://p", b"220 smtp.example ESMTP\r\n", "EPROXY", "does not answer as an HTTP proxy"),
        ("http://p", b"\x05\x00", "EPROXY", "does not answer as an HTTP proxy"),
        ("http://p", b"HTTP/1.1 two hundred\r\n\r\n", "EPROXY", "does not answer as an HTTP proxy"),
        ("http://p", b"HTTP/1.1 200 OK\r\nno field\r\n\r\n", "EPROXY", "does not answer as an HTTP proxy"),
        ("http://p", b"HTTP/1.1 200 OK\r\nX: " + b"x" * MAX_HEAD, "EPROXY", "does not answer as an HTTP proxy"),
        ("http://p", b"HTTP/1.1 100 Wait\r\n\r\n" * 1000, "EPROXY", "does not answer as an HTTP proxy"),
    ],
)
def test_an_answer_that_is_none(url: str, answers: bytes, code: str, says: str) -> None:
    with pytest.raises(ProxyError) as caught:
        talk(url, answers)
    assert caught.value.code == code
    assert str(caught.value).startswith(f"The proxy {parse(url).place} ")
    assert says in str(caught.value)
    assert "secret" not in str(caught.value)


def test_what_a_protocol_cannot_say() -> None:
    with pytest.raises(ProxyError, match="knows no IPv6"):
        talk("socks4://p", b"", "2001:db8::7")
    with pytest.raises(ProxyError, match="too long"):
        talk("socks5://p", GREETED, f"{'a' * 256}")


@pytest.mark.parametrize("url", ["socks5://u:p@p", "socks4://p", "http://p"])
def test_no_octets_bring_anything_but_a_proxy_error(url: str) -> None:
    """Every one and every two octets first, then the same again and again."""
    for first in range(256):
        for second in (0, 1, 2, 5, 0x48, 0x5A, 0xFF):
            try:
                talk(url, bytes((first, second)) * 40)
            except (ProxyError, EOFError):
                pass
