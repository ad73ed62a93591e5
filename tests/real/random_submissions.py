"""Submissions with varied members, and what a reader must find in them."""

from __future__ import annotations

import base64
import email
import email.message
import email.policy
import random
from email.utils import getaddresses
from typing import Any

WORDS = (
    "plain", "Ärger", "naïve", "日本語", "🚀", "👩‍👩‍👧‍👦", "שלום", "مرحبا", "e\u0301", "a=b", "=?utf-8?q?x?=", "x;y",
    "100%",
    "\u202eabc\u202c", "z" * 60, "ß" * 40, "don't", "(c)", "a.b", "1,000",
)  # fmt: skip
NAMES = (
    "",
    "Jane Doe",
    "Doe, Jane",
    'J"ane',
    "Jörg Müller",
    "山田 太郎",
    "🚀 Team",
    "דוד כהן",
    "O'Neil (Sales)",
    "x" * 120,
)
FILES = (
    "a.txt",
    "Rechnung März.pdf",
    "日本語の名前.png",
    "שלום.doc",
    "🚀.bin",
    'quo"te.txt',
    "semi;colon='.csv",
    "n" * 200 + ".dat",
)
LINES = (".", "..", ".hidden", "From here", "trailing  ", "", "\ttab", "x" * 2000, "=3D", "--boundary", "Ä" * 500)
INVITATION = "BEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\nBEGIN:VEVENT\r\nSUMMARY:Größe\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"


def submission(dice: random.Random, mailbox: str, number: int) -> dict[str, Any]:
    """A submission that arrives in `mailbox`, whatever its header says."""
    words = lambda most: " ".join(dice.choices(WORDS, k=dice.randint(1, most)))  # noqa: E731
    message_id = f"<n{number}.{dice.getrandbits(40):x}@example.com>"
    envelope = {"from": dice.choice(("", mailbox)), "to": [mailbox]}
    if dice.random() < 0.15:
        return {"raw": base64.b64encode(_raw(dice, mailbox, message_id, words(12))).decode(), "envelope": envelope}
    body: dict[str, Any] = {
        "from": {"name": dice.choice(NAMES), "address": mailbox},
        "to": [_address(dice, n) for n in range(dice.randint(1, 12))],
        "cc": [_address(dice, n) for n in range(dice.randint(0, 3))],
        "bcc": [{"address": "hidden@example.com"}],
        "replyTo": [_address(dice, 9)] if dice.random() < 0.4 else [],
        "subject": words(30),
        "messageId": message_id,
        "headers": {"X-Words": words(20), "X-Many": [words(2), words(2)]},
        "envelope": envelope,
        "attachments": [_file(dice, n) for n in range(dice.randint(0, 3))],
        "copy": False,
    }
    if dice.random() < 0.8:
        body["text"] = "\n".join(dice.choices((*LINES, *WORDS), k=dice.randint(1, 30)))
    if dice.random() < 0.6:
        body["html"] = "<p>" + "</p>\n<p>".join(dice.choices((*LINES, *WORDS), k=dice.randint(1, 30))) + "</p>"
    if dice.random() < 0.2:
        content = base64.b64encode(INVITATION.encode()).decode()
        body["attachments"].append({"contentType": "text/calendar; method=REQUEST", "content": content})
    return body


def faults(body: dict[str, Any], arrived: bytes) -> list[str]:
    """What of a submission did not arrive as it was handed in, as Python's email package reads it."""
    if "raw" in body:
        raw = base64.b64decode(body["raw"])
        lines = [each for each in raw.split(b"\r\n") if not each.startswith((b"X-EE-", b"Bcc:"))]
        return [] if arrived.endswith(b"\r\n".join(lines)) else ["raw is not the same"]
    message = email.message_from_bytes(arrived, policy=email.policy.compat32)
    found = []
    for name, given in (
        ("From", [body["from"]]),
        ("To", body["to"]),
        ("Cc", body["cc"]),
        ("Reply-To", body["replyTo"]),
    ):
        read = [(_decoded(shown), address) for shown, address in getaddresses([str(message.get(name, ""))])]
        wanted = [_wanted(each) for each in given]
        if [each for each in read if each[1]] != wanted:
            found.append(f"{name}: {read} in place of {wanted}")
    for name, values in (
        ("Subject", [body["subject"]]),
        ("X-Words", [body["headers"]["X-Words"]]),
        ("X-Many", body["headers"]["X-Many"]),
        ("Message-ID", [body["messageId"]]),
        ("Bcc", []),
    ):
        read_values = [_decoded(each) for each in message.get_all(name, [])]
        if read_values != values:
            found.append(f"{name}: {read_values} in place of {values}")
    if any(len(line) > 998 for line in arrived.split(b"\r\n")):
        found.append("a line of more than 998 octets")
    return found + _parts(body, message)


def _parts(body: dict[str, Any], message: email.message.Message) -> list[str]:
    found, files, texts = [], [], {}
    for part in message.walk():
        if part.is_multipart():
            continue
        content = part.get_payload(decode=True)
        assert isinstance(content, bytes)
        kind = part.get_content_type()
        if kind in ("text/plain", "text/html") and part.get_filename() is None and "Content-Disposition" not in part:
            texts[kind] = content.decode().replace("\r\n", "\n").rstrip("\n")
        else:
            name = part.get_filename()
            files.append((name if name is None else _decoded(name), kind, part["Content-ID"], content))
    for member, kind in (("text", "text/plain"), ("html", "text/html")):
        # With HTML, an empty text is none of its own: one is made from the HTML.
        is_made = member == "text" and not body.get("text") and "html" in body
        if member in body and not is_made and texts.get(kind) != body[member].rstrip("\n"):
            found.append(f"{member}: {texts.get(kind)!r} in place of {body[member]!r}")
    wanted = [
        (
            each.get("filename"),
            each["contentType"].partition(";")[0],
            f"<{each['cid']}>" if "cid" in each else None,
            base64.b64decode(each["content"]),
        )
        for each in body["attachments"]
    ]
    if sorted(files, key=repr) != sorted(wanted, key=repr):
        found.append(f"files: {[each[:3] for each in files]} in place of {[each[:3] for each in wanted]}")
    return found


def _raw(dice: random.Random, mailbox: str, message_id: str, words: str) -> bytes:
    lines = [line[:900] for line in dice.choices((*LINES[:7], *WORDS), k=20)]
    return "\r\n".join([
        "X-EE-Delivery-Attempts: 3",
        f"from: Me   <{mailbox}>",
        f"TO:{mailbox},\r\n\tOther <other@example.org>",
        "Bcc: hidden@example.com",
        "Subject:  odd   spacing ",
        f"Message-ID: {message_id}",
        "Date: Thu, 1 Jan 2026 00:00:00 +0000 (comment)",
        "MIME-Version: 1.0",
        "Content-Type: text/plain; charset=utf-8",
        "Content-Transfer-Encoding: 8bit",
        "",
        words[:200],
        *lines,
        "",
    ]).encode()  # fmt: skip


def _address(dice: random.Random, number: int) -> dict[str, str] | str:
    address = dice.choice((f"a{number}@example.org", f"a{number}@bücher.example", f"Mixed.Case+t{number}@Example.ORG"))
    if dice.random() < 0.3:
        return address if dice.random() < 0.5 else f"Some One <{address}>"
    return {"name": dice.choice(NAMES), "address": address}


def _wanted(given: dict[str, str] | str) -> tuple[str, str]:
    if isinstance(given, str):
        name, address = getaddresses([given])[0]
    else:
        name, address = given["name"], given["address"]
    return name, address.replace("bücher", "xn--bcher-kva")


def _file(dice: random.Random, number: int) -> dict[str, Any]:
    file: dict[str, Any] = {
        "content": base64.b64encode(dice.randbytes(dice.choice((0, 1, 56, 57, 58, 1000, 70_000)))).decode(),
        "contentType": dice.choice(("application/octet-stream", "image/png", "text/csv", "application/pdf")),
        "encoding": "base64",
    }
    if dice.random() < 0.9:
        file["filename"] = dice.choice(FILES)
    if dice.random() < 0.3:
        file["cid"] = f"part{number}@example.com"
    return file


def _decoded(value: str) -> str:
    return str(email.policy.default.header_factory("X-Text", value.replace("\r\n", "")))
