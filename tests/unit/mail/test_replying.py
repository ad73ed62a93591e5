"""Who gets a reply, under which subject, with which ids of the conversation."""

from __future__ import annotations

import pytest

from engine.mail.addresses import Address
from engine.mail.compose import Draft, compose
from engine.mail.replying import (
    MOST_REFERENCES,
    Action,
    Original,
    Own,
    following_ids,
    following_subject,
    joined,
    recipients,
)

OWN = Own(["Me@here.example", "sales@here.example", "team+me@here.example"])


def those(*addresses: str) -> tuple[Address, ...]:
    return tuple(Address(each) for each in addresses)


def who(original: Original, action: Action) -> tuple[list[str], list[str]]:
    to, cc = recipients(original, action, OWN)
    return [each.address for each in to], [each.address for each in cc]


USUAL = Original(
    author=those("alice@x.example"),
    reply_to=those("alice@x.example"),
    to=those("ME@here.example", "bob@x.example"),
    cc=those("carol@x.example", "bob@x.example", "me+list@here.example"),
)


@pytest.mark.parametrize(
    ("original", "action", "to", "cc"),
    [
        (USUAL, "reply", ["alice@x.example"], []),
        (USUAL, "reply-all", ["alice@x.example", "bob@x.example"], ["carol@x.example"]),
        (USUAL, "forward", [], []),
        # Reply-To in place of the author, who gets nothing more
        (
            Original(author=those("a@x"), reply_to=those("desk@x", "DESK@x"), to=those("me@here.example", "b@x")),
            "reply-all",
            ["desk@x", "b@x"],
            [],
        ),
        # one's own message: those who got it
        (
            Original(author=those("sales@here.example"), reply_to=those("sales@here.example"), to=those("c@x")),
            "reply",
            ["c@x"],
            [],
        ),
        (
            Original(author=those("me@here.example"), to=those("c@x", "me@here.example"), cc=those("d@x")),
            "reply-all",
            ["c@x"],
            ["d@x"],
        ),
        (Original(author=those("me@here.example"), cc=those("d@x")), "reply", ["d@x"], []),
        (Original(author=those("me@here.example"), cc=those("d@x")), "reply-all", ["d@x"], []),
        # a form on a web site: written by the account itself, the customer is in Reply-To
        (
            Original(author=those("me@here.example"), reply_to=those("customer@y"), to=those("sales@here.example")),
            "reply",
            ["customer@y"],
            [],
        ),
        # a note to oneself
        (
            Original(author=those("me@here.example"), to=those("me@here.example")),
            "reply",
            ["me@here.example"],
            [],
        ),
        (
            Original(author=those("me@here.example"), to=those("me@here.example")),
            "reply-all",
            ["me@here.example"],
            [],
        ),
        # a list: what its author asks for
        (
            Original(
                author=those("a@x"),
                mail_reply_to=those("private@x"),
                mail_followup_to=those("list@x", "Me@here.example"),
            ),
            "reply",
            ["private@x"],
            [],
        ),
        (
            Original(author=those("a@x"), to=those("b@x"), mail_followup_to=those("list@x", "Me@here.example")),
            "reply-all",
            ["list@x"],
            [],
        ),
        (
            Original(author=those("a@x"), to=those("b@x"), mail_followup_to=those("Me@here.example")),
            "reply-all",
            ["a@x", "b@x"],
            [],
        ),
        # the tag is part of one address of one's own, so another tag is somebody else
        (
            Original(author=those("a@x"), to=those("team+you@here.example")),
            "reply-all",
            ["a@x", "team+you@here.example"],
            [],
        ),
        (Original(author=()), "reply", [], []),
    ],
)
def test_who_gets_it(original: Original, action: Action, to: list[str], cc: list[str]) -> None:
    assert who(original, action) == (to, cc)


def test_what_the_caller_gave_comes_first_and_once() -> None:
    assert joined(those("a@x", "b@x"), those("B@x", "c@x", "C@x", "d@x"), besides=those("D@x")) == those(
        "a@x", "b@x", "c@x"
    )


@pytest.mark.parametrize(
    ("subject", "reply", "forward"),
    [
        ("Hello", "Re: Hello", "Fwd: Hello"),
        ("Re: Hello", "Re: Hello", "Fwd: Re: Hello"),
        ("RE : Hello", "RE : Hello", "Fwd: RE : Hello"),
        ("re[2]: Hello", "re[2]: Hello", "Fwd: re[2]: Hello"),
        ("Re^3: Hello", "Re^3: Hello", "Fwd: Re^3: Hello"),
        ("AW: Hallo", "AW: Hallo", "Fwd: AW: Hallo"),
        ("WG: Hallo", "Re: WG: Hallo", "WG: Hallo"),
        ("Fw: Hello", "Re: Fw: Hello", "Fw: Hello"),
        ("TR: Bonjour", "Re: TR: Bonjour", "TR: Bonjour"),
        ("SV: Hej", "SV: Hej", "Fwd: SV: Hej"),
        ("回复：你好", "回复：你好", "Fwd: 回复：你好"),
        ("转发: 你好", "Re: 转发: 你好", "转发: 你好"),
        ("Ответ: Привет", "Ответ: Привет", "Fwd: Ответ: Привет"),
        ("[list] Re: Hello", "[list] Re: Hello", "Fwd: [list] Re: Hello"),
        ("Regarding: Hello", "Re: Regarding: Hello", "Fwd: Regarding: Hello"),
        ("Ref: 12", "Re: Ref: 12", "Fwd: Ref: 12"),
        ("Re", "Re: Re", "Fwd: Re"),
        ("", "Re:", "Fwd:"),
    ],
)
def test_one_prefix(subject: str, reply: str, forward: str) -> None:
    original = Original(subject=subject)
    assert following_subject(original, "reply") == following_subject(original, "reply-all") == reply
    assert following_subject(original, "forward") == forward


def test_subjects_take_no_more_time_than_they_are_long() -> None:
    hostile = "[a] " * 100_000 + "Re" + " " * 100_000
    assert following_subject(Original(subject=hostile), "reply").startswith("Re: [a]")


@pytest.mark.parametrize(
    ("references", "in_reply_to", "message_id", "ids"),
    [
        ("<1@x> <2@x>", "<2@x>", "<3@x>", "<1@x> <2@x> <3@x>"),
        ("<1@x>\r\n\t<2@x>", "<9@x>", "<3@x>", "<1@x> <2@x> <3@x>"),
        ("", "<2@x>", "<3@x>", "<2@x> <3@x>"),
        ("", "<1@x> <2@x>", "<3@x>", "<3@x>"),  # which of them the parent is cannot be told
        ("<1@x> <3@x> <2@x> <1@x>", "", "<3@x>", "<1@x> <2@x> <3@x>"),
        ("<1@x><2@x> odd <\xe9@x> <a b@x>", "", "<3@x>", "<1@x> <2@x> <3@x>"),
        ("<1@x>", "", "", "<1@x>"),
        ("<1@x>", "", "no id", "<1@x>"),
        ("<1@x>", "", "3@x", "<1@x> <3@x>"),
    ],
)
def test_ids_of_the_conversation(references: str, in_reply_to: str, message_id: str, ids: str) -> None:
    original = Original(references=references, in_reply_to=in_reply_to, message_id=message_id)
    answers = [("In-Reply-To", "<3@x>")] if "3@x" in message_id else []
    assert list(following_ids(original, "reply")) == [*answers, ("References", ids)]
    assert list(following_ids(original, "forward")) == [("References", ids)]


def test_of_a_long_conversation_the_first_and_the_last_ids_are_kept() -> None:
    longest = "<" + "i" * 880 + "@x>"
    original = Original(references=" ".join([longest, *(f"<{n}@x>" for n in range(100))]), message_id="<last@x>")
    headers = following_ids(original, "reply-all")
    ids = dict(headers)["References"].split()
    assert len(ids) == MOST_REFERENCES
    assert (ids[0], ids[1], ids[-2:]) == (longest, "<52@x>", ["<99@x>", "<last@x>"])
    made = compose(Draft(sender=Address("me@here.example"), headers=headers), message_id="<n@x>", date=0, boundary="b")
    assert max(map(len, made.header.split(b"\r\n"))) <= 998


def test_nothing_follows_from_nothing() -> None:
    assert following_ids(Original(), "reply") == ()
