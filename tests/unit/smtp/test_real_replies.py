"""Two hundred replies as servers send them, most from the pages of the providers, each with what it must be taken for.

A line of the table: whose fault it is, words of the explanation, the reply; `?` stands for a reply that nobody knows.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.smtp.explanation import explanation

TABLE = Path(__file__).parents[2] / "data" / "smtp_replies.tsv"
LOGIN_CODES = ("534", "535")


def rows() -> list[tuple[str, str, str]]:
    lines = [line.split("\t") for line in TABLE.read_text().splitlines()]
    return [(fault, words, reply.replace("\\n", "\n")) for fault, words, reply in lines]


@pytest.mark.parametrize("code", sorted({reply[:3] for _, _, reply in rows()}))
def test_real_replies(code: str) -> None:
    wrong = []
    for fault, words, reply in rows():
        if reply.startswith(code):
            said = explanation(reply, login=code in LOGIN_CODES)
            is_right = said.fault == fault and words.lower() in f"{said.what} {said.todo}".lower()
            if said.known is (fault == "?") or not (is_right or fault == "?"):
                wrong.append((fault, words, reply, said.fault, said.what))
    assert wrong == []
