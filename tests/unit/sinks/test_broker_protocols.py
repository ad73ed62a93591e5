"""What is read from brokers, in pieces of any size; subjects; envelopes; credentials."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import ProtocolError
from engine.sinks import nats_credentials, nats_protocol, redis_protocol
from engine.sinks.envelope import Outgoing, outgoing
from engine.sinks.nats_credentials import BadCredentials
from engine.sinks.nats_protocol import Delivered, Line
from engine.sinks.redis_protocol import RedisError

SAID = (
    b'INFO {"version":"2.9"}\r\n+OK\r\nping\r\nMSG _INBOX.a.1 1 2\r\n{}\r\nMSG a 1 reply 4\r\n\r\n\r\n\r\n'
    b"HMSG a 1 16 18\r\nNATS/1.0 503\r\n\r\nhi\r\n-ERR 'no'\r\n"
)
HEARD = [
    Line("INFO", b'{"version":"2.9"}'),
    Line("+OK", b""),
    Line("PING", b""),
    Delivered("_INBOX.a.1", 0, b"{}"),
    Delivered("a", 0, b"\r\n\r\n"),
    Delivered("a", 503, b"hi"),
    Line("-ERR", b"'no'"),
]


@given(st.lists(st.integers(1, len(SAID)), max_size=20))
def test_nats_in_pieces(cuts: list[int]) -> None:
    parser, places = nats_protocol.Parser(), [0, *sorted(cuts), len(SAID)]
    pieces = [SAID[a:b] for a, b in pairwise(places)]
    assert [heard for piece in pieces for heard in parser.feed(piece)] == HEARD


REPLIES = b"+OK\r\n:-5\r\n$3\r\na\r\n\r\n$-1\r\n*-1\r\n*2\r\n$0\r\n\r\n*1\r\n-ERR no\r\n"
REPLIED = ["OK", -5, b"a\r\n", None, None, [b"", [RedisError("ERR no")]]]


@given(st.lists(st.integers(1, len(REPLIES)), max_size=20))
def test_redis_in_pieces(cuts: list[int]) -> None:
    parser, places = redis_protocol.Parser(), [0, *sorted(cuts), len(REPLIES)]
    pieces = [REPLIES[a:b] for a, b in pairwise(places)]
    assert [reply for piece in pieces for reply in parser.feed(piece)] == REPLIED


@given(st.binary(max_size=200))
def test_anything_else_is_a_protocol_error(data: bytes) -> None:
    for parser in (nats_protocol.Parser(), redis_protocol.Parser()):
        try:
            list(parser.feed(data))
        except ProtocolError:
            pass


@given(st.text(min_size=1))
def test_any_account_is_one_token_and_comes_back(account: str) -> None:
    token = nats_protocol.token_of(account)
    assert unquote(token) == account
    assert token.isascii() and token and not set(token) & set(" .*>\t\r\n\0")
    assert token != nats_protocol.NO_ACCOUNT


def test_tokens() -> None:
    assert nats_protocol.token_of("me@example.com") == "me%40example%2Ecom"
    assert nats_protocol.token_of("_") == "%5F"
    assert nats_protocol.token_of(None) == "_"


BODY = (
    b'{"serviceUrl":"https://mail.example.com","account":"a","date":"2026-11-28T10:00:00.000Z","event":"messageSent",'
)
BODY += b'"data":{"x":1},"seq":7,"eventId":"12e4946a-8333-41a1-b97b-cd87b53d6446"}'


def test_an_event_as_it_is() -> None:
    found = outgoing((7, "a", "messageSent", BODY), cloudevents=False)
    assert found == Outgoing(7, "a", "messageSent", "12e4946a-8333-41a1-b97b-cd87b53d6446", BODY)


def test_cloudevents() -> None:
    found = outgoing((7, "a", "messageSent", BODY), cloudevents=True)
    assert json.loads(found.body) == {
        "specversion": "1.0",
        "id": "12e4946a-8333-41a1-b97b-cd87b53d6446",
        "source": "https://mail.example.com",
        "type": "mailbox.messageSent",
        "subject": "a",
        "time": "2026-11-28T10:00:00.000Z",
        "datacontenttype": "application/json",
        "sequence": "00000000000000000007",
        "data": json.loads(BODY),
    }
    bare = BODY.replace(b'"https://mail.example.com"', b"null").replace(b'"a"', b"null")
    without = json.loads(outgoing((7, None, "messageSent", bare), cloudevents=True).body)
    assert without["source"] == "/mailbox-engine"
    assert "subject" not in without


SEED = "SUAAAAICAMCAKBQHBAEQUCYMBUHA6EARCIJRIFIWC4MBSGQ3DQOR4H776Y"
JWT = f"""-----BEGIN NATS USER JWT-----
eyJ0eXAiOiJKV1QifQ.eyJqdGkiOiJ4In0.c2ln
------END NATS USER JWT------

-----BEGIN USER NKEY SEED-----
{SEED}
------END USER NKEY SEED------
"""


def test_credentials(tmp_path: Path) -> None:
    file = tmp_path / "engine.creds"
    file.write_text(JWT)
    found = nats_credentials.load(str(file))
    assert found.public == "UAB2CB576PHBBPQ5ODORRZ2LYCMWPZGWGCN2KDK7DXOIMZASKUY3RLKK"
    answer = found.answer("a nonce")
    assert answer.keys() == {"jwt", "sig"}
    assert answer["jwt"] == "eyJ0eXAiOiJKV1QifQ.eyJqdGkiOiJ4In0.c2ln"
    file.write_text(f"{SEED}\n")
    assert nats_credentials.load(str(file)).answer("a nonce") == {"nkey": found.public, "sig": answer["sig"]}


@pytest.mark.parametrize("text", ["", "hello", JWT.replace(SEED, "X"), SEED[:-1] + "A", "SA" + SEED[2:], "\xff"])
def test_credentials_that_cannot_be_used(tmp_path: Path, text: str) -> None:
    file = tmp_path / "engine.creds"
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(BadCredentials) as caught:
        nats_credentials.load(str(file))
    assert SEED[8:] not in str(caught.value)
