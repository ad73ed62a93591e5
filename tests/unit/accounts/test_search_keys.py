"""Each member of a search as the words of IMAP, and a 422 where the server has not what it needs."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from engine.accounts import search_keys
from engine.decoding.decode import decode_body
from engine.errors import Problem
from engine.schema.search import SearchQuery

GMAIL = {"IMAP4REV1", "X-GM-EXT-1"}
OBJECT_IDS = {"IMAP4REV1", "OBJECTID", "CONDSTORE"}


def keys(capabilities: set[str] | None = None, **members: Any) -> list[str | bytes]:
    query = decode_body(SearchQuery, msgspec.json.encode(members))
    return search_keys.search_keys(query, {"IMAP4REV1"} if capabilities is None else capabilities)


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({}, ["ALL"]),
        ({"seq": "8:*"}, ["8:*"]),
        ({"uid": "1,4:6"}, ["UID", "1,4:6"]),
        ({"answered": True, "deleted": False}, ["ANSWERED", "UNDELETED"]),
        ({"draft": False, "flagged": True}, ["UNDRAFT", "FLAGGED"]),
        ({"seen": True}, ["SEEN"]),
        ({"unseen": True}, ["UNSEEN"]),
        ({"unseen": False}, ["SEEN"]),
        ({"from": "a", "to": "b", "cc": "c", "bcc": "d"}, ["FROM", b"a", "TO", b"b", "CC", b"c", "BCC", b"d"]),
        ({"body": "ü", "subject": "x"}, ["BODY", "ü".encode(), "SUBJECT", b"x"]),
        ({"larger": 10, "smaller": 20}, ["LARGER", "10", "SMALLER", "20"]),
        ({"before": "2026-03-09T23:00:00Z"}, ["BEFORE", "9-Mar-2026"]),
        ({"since": "2026-12-31"}, ["SINCE", "31-Dec-2026"]),
        (
            {"sentBefore": "2026-01-01", "sentSince": "2025-01-01"},
            ["SENTBEFORE", "1-Jan-2026", "SENTSINCE", "1-Jan-2025"],
        ),
        ({"header": {"X-Tag": "a", "X-Mark": ""}}, ["HEADER", b"X-Tag", b"a", "HEADER", b"X-Mark", b""]),
    ],
)
def test_on_any_server(members: dict[str, Any], expected: list[str | bytes]) -> None:
    assert keys(**members) == expected


@pytest.mark.parametrize(
    ("capabilities", "members", "expected"),
    [
        (OBJECT_IDS, {"modseq": 7}, ["MODSEQ", "7"]),
        (OBJECT_IDS, {"emailId": "M1"}, ["EMAILID M1"]),
        (OBJECT_IDS, {"emailIds": ["a", "b", "c", "a"]}, ["OR EMAILID a OR EMAILID b EMAILID c"]),
        (OBJECT_IDS, {"threadId": "T1"}, ["THREADID T1"]),
        (OBJECT_IDS, {"emailId": "a) OR (ALL"}, ["NOT", "ALL"]),
        (GMAIL, {"emailId": "12"}, ["X-GM-MSGID 12"]),
        (GMAIL, {"emailId": "x"}, ["NOT", "ALL"]),
        (GMAIL, {"threadId": "34"}, ["X-GM-THRID 34"]),
        (GMAIL, {"gmailRaw": "has:attachment ü"}, ["X-GM-RAW", "has:attachment ü".encode()]),
        (
            GMAIL,
            {"labels": {"has": ["Grüße"], "not": "b"}},
            ["X-GM-LABELS", b"Gr&APwA3w-e", "NOT", "X-GM-LABELS", b"b"],
        ),
    ],
)
def test_with_an_extension(capabilities: set[str], members: dict[str, Any], expected: list[str | bytes]) -> None:
    assert keys(capabilities, **members) == expected


@pytest.mark.parametrize(
    "members", [{"modseq": 7}, {"emailId": "a"}, {"emailIds": ["a"]}, {"gmailRaw": "x"}, {"labels": {"has": ["x"]}}]
)
def test_without_the_extension(members: dict[str, Any]) -> None:
    with pytest.raises(Problem) as caught:
        keys(**members)
    assert (caught.value.status, caught.value.extra["code"]) == (422, "MissingServerExtension")


def test_how_conversations_are_found() -> None:
    query = msgspec.convert({"threadId": "x"}, SearchQuery)
    assert search_keys.needs_threads(msgspec.convert({}, SearchQuery), set()) is None
    assert search_keys.needs_threads(query, GMAIL) is None
    assert search_keys.needs_threads(query, {"THREAD=REFERENCES", "THREAD=REFS"}) == "REFERENCES"
    assert search_keys.needs_threads(query, {"THREAD=REFS"}) == "REFS"
    with_ids = {*OBJECT_IDS, "THREAD=REFS"}
    assert search_keys.needs_threads(query, with_ids) is None
    assert search_keys.needs_threads(query, with_ids, by_message=True) == "REFS"
    assert search_keys.needs_threads(query, OBJECT_IDS, by_message=True) is None
    with pytest.raises(Problem) as caught:
        search_keys.needs_threads(query, {"THREAD=ORDEREDSUBJECT"})
    assert caught.value.status == 422


def test_a_thousand_ids_are_nested_as_little_as_can_be() -> None:
    (key,) = keys(OBJECT_IDS, emailIds=[f"M{number}" for number in range(1000)])
    assert isinstance(key, str)
    assert key.count("OR ") == 999
    assert max(len(run) for run in key.split("EMAILID")) < 40
