"""Secrets are masked in what others say, however they spell them."""

from __future__ import annotations

import base64
import html
import json
import quopri
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.masking import Masker

SECRET = 'Grüße&"s3cret/+key"'

SPELLINGS: dict[str, Callable[[str], str]] = {
    "clear": lambda s: s,
    "upper": lambda s: "".join(c.upper() if c.isascii() else c for c in s),
    "percent": lambda s: quote(s, safe=""),
    "percent, lower": lambda s: quote(s, safe="").lower(),
    "percent, all": lambda s: "".join(f"%{octet:02x}" for octet in s.encode()),
    "percent, twice": lambda s: quote(quote(s, safe=""), safe=""),
    "form": quote_plus,
    "json": lambda s: json.dumps(s),
    "json, unescaped": lambda s: json.dumps(s, ensure_ascii=False),
    "html": html.escape,
    "html, numbers": lambda s: "".join(f"&#{ord(c)};" for c in s),
    "quoted-printable": lambda s: quopri.encodestring(s.encode()).decode(),
    "hex": lambda s: s.encode().hex(),
    "base64": lambda s: base64.b64encode(s.encode()).decode(),
    "base64, url": lambda s: base64.urlsafe_b64encode(s.encode()).decode().rstrip("="),
    "base64 in percent": lambda s: quote(base64.b64encode(s.encode()).decode(), safe=""),
    "plain login": lambda s: base64.b64encode(f"\0user\0{s}".encode()).decode(),
    "basic": lambda s: base64.b64encode(f"me:{s}".encode()).decode(),
    "bearer login": lambda s: base64.b64encode(f"user=u\1auth=Bearer {s}\1\1".encode()).decode(),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_secret_is_found_in_every_spelling(spelling: str) -> None:
    spelled = SPELLINGS[spelling](SECRET)
    masked = Masker([SECRET]).mask(f"550 what is {spelled} doing here?")
    assert masked.strip('"').startswith("550 what is ")
    assert spelled.strip('"') not in masked
    assert "******" in masked and masked.endswith("doing here?")


PRINTED = st.characters(categories=["L", "N", "P", "S", "Zs"])


@given(
    st.text(PRINTED, min_size=6, max_size=40),
    st.text(PRINTED, max_size=9),
    st.text(PRINTED, max_size=9),
    st.sampled_from(sorted(SPELLINGS)),
)
def test_no_spelling_of_any_secret_stays(secret: str, before: str, after: str, spelling: str) -> None:
    spelled = SPELLINGS[spelling](secret).strip('"')
    if len(spelled) < 6:
        return
    assert spelled not in Masker([secret]).mask(f"{before} {spelled} {after}")


@given(st.binary(max_size=7), st.binary(min_size=6, max_size=30), st.binary(max_size=7))
def test_base64_of_anything_that_holds_it_goes_as_a_whole(before: bytes, secret: bytes, after: bytes) -> None:
    text = secret.hex()
    assert Masker([text]).mask(base64.b64encode(before + text.encode() + after).decode()) == "******"


@given(st.text(), st.lists(st.text(min_size=20, max_size=30)))
def test_other_text_stays_as_it_is(text: str, secrets: list[str]) -> None:
    others = [f"\N{SNOWMAN}{secret}" for secret in secrets if "\N{SNOWMAN}" not in text]
    assert Masker(others).mask(text) == text


def test_short_secrets_count_only_where_they_stand_alone() -> None:
    assert (
        Masker(["abc"]).mask("abc is no part of abcdef, but (abc) is") == "****** is no part of abcdef, but (******) is"
    )
    assert Masker(["", "a"]).mask("what a day") == "what ****** day"


def test_half_a_secret_goes_where_the_text_was_cut() -> None:
    masker = Masker(["correct horse battery"])
    assert masker.mask("535 correct hor", cut=True) == "535 ******"
    assert masker.mask("535 correct hor") == "535 correct hor"
    assert masker.mask(base64.b64encode(b"correct horse battery").decode()[:14], cut=True) == "******"


def test_many_are_found_beside_and_inside_each_other() -> None:
    masker = Masker(["swordfish", "Bearer swordfish"])
    assert masker.mask("Bearer swordfish, swordfish swordfishswordfish") == "******, ****** ************"
