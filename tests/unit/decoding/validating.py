"""What is wrong with a request, for tests of what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from engine.decoding.decode import decode_body
from engine.errors import Problem
from engine.schema.fields import Request
from engine.schema.submit import Submit

RCPT = {"name": "Rcpt", "address": "rcpt@example.net"}


SERVER = {"host": "mail.example.com", "port": 993}


def complaints(kind: type[Request], body: Any) -> list[dict[str, str]]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    with pytest.raises(Problem) as caught:
        decode_body(kind, data)
    assert caught.value.status == 400
    assert caught.value.message == "Invalid input"
    assert set(caught.value.extra) == {"fields"}
    return caught.value.extra["fields"]


def messages(kind: type[Request], body: Any) -> list[str]:
    return [each["message"] for each in complaints(kind, body)]


def submit(**members: Any) -> Submit:
    return decode_body(Submit, json.dumps({"to": [RCPT], **members}).encode())


NOT_ONE_LINE = "must not contain line breaks"
