"""Any request at all: what is good comes out as its type, and nothing but a problem comes out beside it."""

from __future__ import annotations

import base64
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.api import operations
from engine.decoding.decode import decode_body, decode_query
from engine.errors import Problem
from engine.schema.account import AccountQuery, AccountsQuery
from engine.schema.events import EventsQuery
from engine.schema.fields import Check
from engine.schema.outbox import OutboxQuery
from engine.schema.submit import Submit

BODIES = tuple(dict.fromkeys(each.body for each in operations() if each.body is not None))
ALL_QUERIES = tuple(dict.fromkeys(each.query for each in operations() if each.query is not None))
QUERIES = (AccountQuery, AccountsQuery, EventsQuery, OutboxQuery)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
TEXT = st.one_of(
    st.text(max_size=12),
    st.sampled_from(
        [
            "",
            "a@b.example",
            "Zoë@bücher.example",
            "aGVsbG8=",
            "aGVs bG8=",
            "aGVsbG9=",
            "aGVsbG8==",
            "====",
            "2026-01-01",
            "2026-01-01T00:00:00Z",
            "2026-01-01t00:00:00.5+01:00",
            "9999-12-31T23:59:59-14:00",
            "mail.example.com",
            "127.0.0.1",
            "https://x.example/y",
            "<1@example.com>",
            "true",
            "N",
            "5",
            "inline",
            "base64",
            "full",
            "TLSv1.2",
            "a\r\nb",
            "x" * 300,
        ]
    ),
)
SCALAR = st.one_of(TEXT, st.booleans(), st.integers(-1, 70000), st.just(5.0), st.just(1.5), st.none())


GOOD: dict[Any, st.SearchStrategy[Any]] = {
    Check.EMAIL: st.sampled_from(["a@b.example", "Zoë@bücher.example", "a@bücher.example"]),
    Check.EMAIL_OR_EMPTY: st.sampled_from(["a@b.example", "a@bücher.example", ""]),
    Check.ACCOUNT: st.sampled_from(["a", " a ", "\ta b"]),
    Check.HOSTNAME: st.sampled_from(["mail.example.com", "127.0.0.1", "::1", "localhost"]),
    Check.WEB_URL: st.just("https://x.example/y"),
    Check.WEB_URL_OR_EMPTY: st.sampled_from(["https://x.example/y", ""]),
    Check.PROXY_OR_EMPTY: st.sampled_from(["socks5://u:p@x.example:1080", "http://x", ""]),
    Check.IP: st.sampled_from(["192.0.2.1", "2001:DB8::1"]),
    Check.NETWORK: st.sampled_from(["192.0.2.1", "10.0.0.0/8", "2001:DB8::/32", "::ffff:192.0.2.0/120"]),
    Check.JSON: st.sampled_from(["", "{}", '{"team": ["shop"]}']),
    Check.IP_OR_EMPTY: st.sampled_from(["192.0.2.1", "2001:DB8::1", ""]),
    Check.MESSAGE_ID: st.sampled_from(["<1@example.com>", "1@example.com", " 1@example.com"]),
}


def mostly(good: st.SearchStrategy[Any], otherwise: st.SearchStrategy[Any] = SCALAR) -> st.SearchStrategy[Any]:
    return st.integers(0, 24).flatmap(lambda n: otherwise if n == 17 else good)


def near(info: msgspec.inspect.Type, check: Any = None) -> st.SearchStrategy[Any]:
    """JSON that has the shape of the type, more or less."""
    match info:
        case msgspec.inspect.Metadata():
            return near(info.type, (info.extra or {}).get("check", check))
        case msgspec.inspect.UnionType():
            return st.one_of(*(near(each) for each in info.types))
        case msgspec.inspect.NoneType():
            return st.none()
        case msgspec.inspect.StructType():
            members = {each.encode_name: near(each.type) for each in info.fields}
            needed = {each.encode_name for each in info.fields if each.required}
            exact = st.fixed_dictionaries(
                {name: value for name, value in members.items() if name in needed},
                optional={name: value for name, value in members.items() if name not in needed},
            )
            return mostly(exact)
        case msgspec.inspect.VarTupleType():
            return mostly(st.lists(near(info.item_type), max_size=3), near(info.item_type))
        case msgspec.inspect.DictType():
            return st.dictionaries(mostly(st.just("X-A"), TEXT), near(info.value_type), max_size=2)
        case msgspec.inspect.LiteralType():
            return mostly(st.sampled_from(info.values))
        case msgspec.inspect.BoolType():
            return mostly(st.just(False) if check == Check.FALSE else st.booleans())
        case msgspec.inspect.IntType() | msgspec.inspect.FloatType():
            return mostly(st.integers(1, 1000))
        case msgspec.inspect.BytesType():
            return mostly(st.sampled_from(["aGVsbG8=", "", "aGVsbG9="]))
        case msgspec.inspect.DateTimeType():
            return mostly(st.sampled_from(["2026-01-01T00:00:00Z", "2026-01-01t00:00:00.5+01:00"]))
    return mostly(GOOD.get(check, st.sampled_from(["INBOX", "Zoë", "a b"])), TEXT)


NEAR = st.sampled_from(BODIES).flatmap(lambda kind: st.tuples(st.just(kind), near(msgspec.inspect.type_info(kind))))


@pytest.mark.parametrize("kind", [*BODIES, *ALL_QUERIES], ids=lambda kind: kind.__name__)
def test_a_request_in_which_every_member_is_wrong_or_missing_is_a_problem_at_most(kind):
    # What members must be together is asked also where none of them could be read.
    wrong = {field.encode_name: {"no": ["such", {}]} for field in msgspec.structs.fields(kind)}
    for value in ({}, wrong, dict.fromkeys(wrong)):
        try:
            decode_body(kind, msgspec.json.encode(value))
        except Problem as problem:
            assert problem.status == 400


@given(NEAR)
@settings(max_examples=300, deadline=None)
def test_a_request_is_its_struct_or_a_problem(case):
    kind, value = case
    data = msgspec.json.encode(value)
    try:
        walked = decode_body(kind, data)
    except Problem as problem:
        assert problem.extra["fields"]
        for each in problem.extra["fields"]:
            assert each["message"].startswith(f'"{each["path"]}" ')
            assert each["path"].endswith((each["key"], f"[{each['key']}]"))
        return
    try:
        decoded = msgspec.json.decode(data, type=kind)
    except msgspec.ValidationError:
        return  # more is taken than msgspec takes
    assert same(decoded, walked), (decoded, walked)


def same(decoded: Any, walked: Any) -> bool:
    """Whether msgspec made the same of it, but for text, which checks normalise."""
    if type(decoded) is not type(walked):
        return False
    if isinstance(decoded, msgspec.Struct):
        return same(msgspec.structs.astuple(decoded), msgspec.structs.astuple(walked))
    if isinstance(decoded, dict):
        return same(tuple(decoded.items()), tuple(walked.items()))
    if isinstance(decoded, tuple):
        return len(decoded) == len(walked) and all(map(same, decoded, walked))
    return isinstance(decoded, str) or bool(decoded == walked)


@given(st.sampled_from(BODIES), JSON)
@settings(deadline=None)
def test_any_json_is_taken_or_is_a_problem(kind, value):
    try:
        assert isinstance(decode_body(kind, msgspec.json.encode(value)), kind)
    except Problem as problem:
        assert problem.status == 400


@given(st.sampled_from(BODIES), st.binary(max_size=60))
@settings(deadline=None)
def test_any_bytes_are_taken_or_are_a_problem(kind, data):
    try:
        assert isinstance(decode_body(kind, data), kind)
    except Problem as problem:
        assert problem.status == 400


@given(st.sampled_from(QUERIES), st.lists(st.tuples(st.sampled_from(["after", "page", "quota", "state", "x"]), TEXT)))
@settings(deadline=None)
def test_any_query_is_taken_or_is_a_problem(kind, pairs):
    try:
        assert isinstance(decode_query(kind, pairs), kind)
    except Problem as problem:
        assert problem.extra["fields"]


@given(st.binary(max_size=200), st.lists(st.integers(0, 300), max_size=5))
@settings(deadline=None)
def test_base64_arrives_as_it_was_however_it_is_broken_into_lines(content, breaks):
    text = base64.b64encode(content).decode()
    for at in breaks:
        text = text[:at] + "\r\n" + text[at:]
    body = {"to": {"address": "a@b.example"}, "attachments": [{"content": text}]}
    assert decode_body(Submit, msgspec.json.encode(body)).attachments[0].content == content
