"""Large bodies are taken apart in slices, with the same result as in one piece."""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.decoding import large_json
from engine.decoding.decode import LARGE, decode_body
from engine.decoding.large_json import Long, TooManyValues, decode_large
from engine.errors import Problem
from engine.schema.submit import Submit

RCPT = {"to": [{"address": "a@b.example"}]}
PIECES = st.sampled_from(
    ["a", '"', "\\", "\n", "é", "😀", "\0", "\0" + "0", "{", "[", ":", ",", "/", "=", "ÿ", "\x7f", " ", "\u2028"]
)
TEXTS = st.lists(PIECES, max_size=40).map("".join)
VALUES = st.recursive(
    TEXTS | st.integers(-(2**53), 2**53) | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text('kK\0é"', max_size=8), inner, max_size=5),
    max_leaves=20,
)


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every limit so small that short documents are cut everywhere."""
    monkeypatch.setattr(large_json, "LONG", 8)
    monkeypatch.setattr(large_json, "SLICE", 13)


def told(value: Any) -> Any:
    """The value with every long string decoded."""
    if isinstance(value, Long):
        return value.text(1000)
    if isinstance(value, list):
        return [told(each) for each in value]
    if isinstance(value, dict):
        return {name: told(each) for name, each in value.items()}
    return value


@given(VALUES, st.booleans(), st.sampled_from([None, 2]))
def test_it_is_what_plain_decoding_gives(value, ascii_only, indent):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(large_json, "LONG", 8)
        patch.setattr(large_json, "SLICE", 13)
        data = bytearray(json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode())
        try:
            assert told(decode_large(data, 1000)) == value
        except TooManyValues as error:
            assert "the name of a member" in str(error)


@given(st.lists(st.sampled_from(["\\ud83d", "\\ude00", "\\u0041", "\\\\", "x", "é", '\\"', "\\n"]), max_size=40))
def test_half_pairs_are_replaced_wherever_a_slice_ends(parts):
    text = "".join(parts)
    whole = json.loads(f'"{text}"').encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(large_json, "LONG", 0)
        patch.setattr(large_json, "SLICE", 13)
        assert told(decode_large(bytearray(f'["{text}"]'.encode()), 1000)) == [whole]
    assert large_json.plain(f'["{text}"]'.encode()) == [whole]


@given(st.binary(max_size=100), st.sampled_from(["", "\n", "\r\n"]), st.booleans())
def test_base64_is_decoded_across_slices(data, line_end, escaped):
    text = line_end.join(base64.b64encode(data).decode())
    body = json.dumps([text])
    if escaped:
        body = body.replace("/", "\\/")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(large_json, "LONG", 0)
        patch.setattr(large_json, "SLICE", 13)
        found = decode_large(bytearray(body.encode()), 1000)[0]
        assert (found.octets() if isinstance(found, Long) else b"") == data


@pytest.mark.parametrize("text", ["aGk", "aGk=aGk=", "aGk*", "====", "aGkx" * 9 + "a", "aGk=" + "aGkx" * 9, "é" * 40])
def test_what_is_not_base64_is_refused(tiny, text):
    found = decode_large(bytearray(json.dumps(["x" * 20, text + " " * 20]).encode()), 1000)[1]
    with pytest.raises(binascii.Error):
        found.octets()


@pytest.mark.parametrize(
    "data",
    [b'["' + b"x" * 30, b'["' + b"x" * 30 + b"\\", b'["' + b"x" * 30 + b'\\u12"]', b'["' + b"x" * 30 + b'\n"]',
     b'["' + b"\xff" * 30 + b'"]', b'["' + b"x" * 30 + b'" 1]', b"[" + b" " * 50, b"\\" * 50],
)  # fmt: skip
def test_what_is_not_json_is_refused(tiny, data):
    with pytest.raises(msgspec.DecodeError):
        told(decode_large(bytearray(data), 1000))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"[" + b"1," * 1000 + b"1]", "more than 900 members"),
        (b"[" + b"{}," * 1000 + b"1]", "more than 900 members"),
        (b"[" + b'"a":' * 1000 + b"1]", "more than 900 members"),
        (b"[" + b'"",' * 5000 + b"1]", "more than 900 members"),
        (b"[" + b" " * (large_json.MOST_BESIDE + 1) + b"]", "besides its texts"),
        (b"[" + b"1" * (large_json.MOST_BESIDE + 1) + b"]", "besides its texts"),
        (b'{"' + b"k" * 5000 + b'":1}', "the name of a member"),
    ],
    ids=lambda value: repr(value[:10]),
)
def test_what_holds_more_than_any_request_is_refused(data, said):
    with pytest.raises(TooManyValues, match=said):
        decode_large(bytearray(data), 900)


def test_a_large_submission_is_taken_apart():
    content, text = bytes(range(256)) * 8192, "Grüße 😀\n" * 100_000
    body = {
        **RCPT,
        "text": text,
        "attachments": [{"content": base64.b64encode(content).decode()}],
        "headers": {"X": "y"},
    }
    for mark in (b"", b"\xef\xbb\xbf"):
        data = mark + json.dumps(body).encode()
        assert len(data) > LARGE
        found = decode_body(Submit, data)
        assert (found.text, found.attachments[0].content, found.headers) == (text, content, {"X": "y"})


@pytest.mark.parametrize(
    ("member", "value", "said"),
    [
        ("text", "x" * (5 * 1024**2 + 1), '"text" length must be less than or equal to 5242880 characters long'),
        ("headers", {"X": "x" * 2_000_000}, '"headers.X" length must be less than or equal to 1048576 characters long'),
        ("subject", "x" * 2_000_000, '"subject" length must be less than or equal to 10240 characters long'),
        ("deliveryAttempts", "1" * 2_000_000, '"deliveryAttempts" must be a number'),
        ("sendAt", "1" * 2_000_000, '"sendAt" must be in ISO 8601 date format'),
        ("attachments", [{"content": "*" * 2_000_000}], '"attachments[0].content" must be a valid base64 string'),
    ],
)
def test_what_is_wrong_in_a_large_submission_is_named(member, value, said):
    with pytest.raises(Problem) as caught:
        decode_body(Submit, json.dumps({**RCPT, "text": "x" * LARGE, member: value}).encode())
    assert [each["message"] for each in caught.value.extra["fields"]] == [said]


@pytest.mark.parametrize("size", [10, LARGE])
def test_a_byte_order_mark_and_half_an_emoji_are_taken(size):
    data = b'\xef\xbb\xbf{"to":{"address":"a@b.example"},"subject":"a\\ud83d!","text":"' + b"x" * size + b'"}'
    assert decode_body(Submit, data).subject == "a\ufffd!"


def test_the_complaint_about_a_long_name_is_short():
    with pytest.raises(Problem) as caught:
        decode_body(Submit, json.dumps({**RCPT, "k" * 4000: 1}).encode())
    assert len(caught.value.extra["fields"][0]["path"]) < 110


def test_a_short_body_with_too_many_members_is_refused():
    with pytest.raises(Problem) as caught:
        decode_body(Submit, b"[" + b"1," * 1000 + b"1]", 900)
    assert (caught.value.status, caught.value.extra["code"]) == (400, "TooManyMembers")
    assert "more than 900 members" in caught.value.message
