"""What a charset means: the names of the web, the names of mail, bad bytes, cut texts, texts without a name."""

from __future__ import annotations

import codecs
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.mail.charset_labels import encoding
from engine.mail.charsets import clean, decoded
from engine.mail.decode import body_text, header_text, parameter

LABELS = {
    "utf-8": [
        "UTF_8",
        '"utf-8; format=flowed"',
        " utf8\r\n",
        "charset=utf-8",
        "utf8mb4",
        "cp65001",
        "utf-8*en",
        "x-utf-8",
    ],
    "windows-1252": ["latin1", "ISO 8859-1", "iso_8859-1:1987", "cp819", "windows1252", "ibm-1252", "x-cp1252", "l1"],
    "us-ascii": ["US-ASCII", "ascii", "cp20127"],
    "gbk": ["gb2312", "GB_2312-80", "chinese"],
    "gb18030": ["cp936", "gb-2312", "euc-cn", "windows-936"],
    "shift_jis": ["sjis", "x-sjis", "windows-31j", "cp932", "Shift-JIS", "ms_kanji"],
    "euc-kr": ["ks_c_5601-1987", "windows-949", "cp949", "euckr"],
    "big5": ["x-x-big5", "big5-hkscs", "cp950", "big5-eten"],
    "iso-2022-jp": ["iso2022jp", "iso-2022-jp-2", "iso-2022-jp-ms", "cp50220", "csISO2022JP"],
    "windows-874": ["tis-620", "iso-8859-11"],
    "iso-8859-8-i": ["logical", "csiso88598i"],
    "iso-8859-8": ["iso-8859-8-e", "visual"],
    "iso-8859-15": ["latin-9", "iso8859_15", "cp28605"],
    "macintosh": ["x-mac-roman", "mac", "cp10000"],
    "koi8-u": ["koi8-ru", "cp21866"],
    "cp850": ["CP-850", "ibm850", "dos-850"],
    "cp437": ["437", "ibm437"],
    "utf-16": ["utf16", "UTF_16"],
}


@pytest.mark.parametrize(("name", "labels"), LABELS.items())
def test_one_encoding_has_many_names(name, labels):
    assert {label: encoding(label) for label in labels} == dict.fromkeys(labels, name)


@pytest.mark.parametrize(
    "label",
    ["", "rot13", "unicode_escape", "raw_unicode_escape", "idna", "punycode", "undefined", "hex", "cp037", "x-unknown"],
)
def test_what_is_no_charset_of_mail_is_not_reached(label):
    assert encoding(label) is None
    assert encoding(label * 500) is None
    assert decoded(b"\\ud800 +2AA-", label) == "\\ud800 +2AA-"


TEXTS = [
    ("gb2312", "朱镕基 開會".encode("gbk"), "朱镕基 開會"),
    ("gbk", b"\x80 \x81\x39\xee\x39", "€ 㐀"),
    ("shift_jis", "①㈱髙﨑ｱ".encode("cp932"), "①㈱髙﨑ｱ"),
    ("euc-jp", b"\xad\xa1\xa4\xa2\x8e\xb1 \x8f\xb0\xa1", "①あｱ 丂"),
    ("iso-2022-jp", b"\x1b$B-!$\x22\x1b(I1\x1b(B\\ \x1b(J\\", "①あｱ\\ ¥"),
    ("iso-2022-jp", b"\x1b$B$\x22\r\nabc", "あ\r\nabc"),
    ("iso-2022-jp", b"\x0e1\x0f \x1b$(D0!\x1b(B", "ｱ 丂"),
    ("iso-2022-jp", "件名".encode("euc-jp") + "のテスト".encode("euc-jp"), "件名のテスト"),
    ("iso-2022-kr", b"\x1b$)C\x0e0!\x0f hi", "가 hi"),
    ("iso-2022-kr", b"\x0e0!\x0f hi", "가 hi"),
    ("hz-gb-2312", b"~{VPND~} ~~", "中文 ~"),
    ("euc-kr", "뷁".encode("cp949"), "뷁"),
    ("big5", b"\xf9\xd6\xc6\xe7", "碁ぁ"),
    ("windows-1252", b"\x80\x81\x93", "€\x81“"),
    ("iso-8859-1", b"Caf\xe9 \x96", "Café –"),
    ("us-ascii", b"\x93q\x94", "“q”"),
    ("us-ascii", "Grüße".encode(), "Grüße"),
    ("windows-1255", b"\xe0\xd9\x81", "א\ufffd\x81"),
    ("windows-874", b"\xa1\xdb", "ก\ufffd"),
    ("koi8-u", b"\xae\xc1", "ўа"),
    ("iso-8859-8-i", b"\xf9\xec", "של"),
    ("iso-8859-6-e", b"\xc7", "ا"),
    ("x-mac-cyrillic", b"\x80\xff", "А€"),
    ("x-mac-ce", b"\x88", "ą"),
    ("ibm866", b"\x80", "А"),
    ("utf-7", b"+AOk- +2D3eAA- +2AA-", "é 😀 \ufffd"),
    ("utf-16", b"\0a\0b", "ab"),
    ("utf-16", "a中b".encode("utf-16-le"), "a中b"),
    ("utf-16", "中".encode("utf-16"), "中"),
    ("utf-32", "a中".encode("utf-32-be"), "a中"),
    ("iso-8859-1", codecs.BOM_UTF8 + "é".encode(), "é"),
]


@pytest.mark.parametrize(("label", "data", "text"), TEXTS)
def test_text(label, data, text):
    assert decoded(data, label) == text


BAD = [
    ("utf-8", b"a\xa0b", "a\ufffdb"),
    ("utf-8", "Grüße “a” ".encode() + b"\xa0 x", "Grüße “a” \ufffd x"),
    ("gb2312", b"a\xffb", "a\ufffdb"),
    ("gb2312", "中文".encode("gbk")[:-1] + b" x", "中\ufffd x"),
    ("shift_jis", b"\x81 \x82\xa0", "\ufffd あ"),
    ("big5", b"\x81A\xa4\xa4", "\ufffdA中"),
    ("euc-kr", b"\xfe\xfe\xb0\xa1", "\ufffd가"),
    ("euc-jp", b"\xa4\xa2\xff\xa4\xa2", "あ\ufffdあ"),
    ("iso-2022-jp", b"\x1b$B$\x22\x7f\x21$\x22\x1b(B.", "あ\ufffdあ."),
    ("iso-2022-jp", b"\x1b$B$\x22$\x1b(B.", "あ\ufffd."),
    ("iso-2022-jp", b"a\x1b[0m\xff", "a\x1b[0m\ufffd"),
    ("utf-16", b"\xff\xfea\0b", "a\ufffd"),
]


@pytest.mark.parametrize(("label", "data", "text"), BAD)
def test_a_bad_byte_costs_one_character(label, data, text):
    assert decoded(data, label) == text


WHOLE = [
    ("utf-8", "größer中"),
    ("gbk", "中文字"),
    ("shift_jis", "日本語"),
    ("euc-jp", "日本語"),
    ("big5", "中文"),
    ("utf-16-le", "中文"),
]


@pytest.mark.parametrize(("label", "text"), WHOLE)
def test_a_text_cut_by_us_loses_what_is_no_character_any_more(label, text):
    data = text.encode(label)
    for end in range(1, len(data)):
        assert text.startswith(decoded(data[:end], label, cut=True))
        assert decoded(data[:end], label).rstrip("\ufffd") == decoded(data[:end], label, cut=True)
    assert decoded(data, label, cut=True) == text


def test_a_body_cut_by_us():
    assert body_text(b"gr=C3=B6=C3=9F=C", "quoted-printable", "utf-8", cut=True) == "größ"
    assert body_text(b"gr=C3=B6=C3", "quoted-printable", "utf-8", cut=True) == "grö"
    assert body_text(b"Z3LDtsO", "base64", "utf-8", cut=True) == "grö"


def test_a_character_may_be_cut_in_two_between_words_of_one_charset():
    assert header_text(b"=?gb2312?B?1tDO?= =?GBK?B?xA==?=") == "中文"
    assert header_text(b"=?Shift_JIS?Q?=93=FA=96?=\r\n =?x-sjis?Q?=7B?=") == "日本"


UNNAMED = [
    ("Café".encode("latin-1"), "Café"),
    ("schön".encode("latin-1"), "schön"),
    ("El Niño – “Rechnung” für März".encode("cp1252"), "El Niño – “Rechnung” für März"),
    ("Grüße “a” ".encode() + b"\xa0", "Grüße “a” \ufffd"),
    ("件名".encode("iso-2022-jp"), "件名"),
    ("Příliš žluťoučký kůň".encode("cp1250"), "Příliš žluťoučký kůň"),
    *(
        (text.encode("cp1252"), text)
        for text in [
            "Viele Grüße",
            "GRÖßE",
            "Müßiggang",
            "Informação",
            "créée",
            "l’été",
            "hyvää päivää",
            "Söö",
            "Ääni",
            "Señor Núñez",
            "çà et là",
        ]
    ),
    ("Viele Grüße aus Köln".encode()[:-3], "Viele Grüße aus K\ufffd"),
    ("你好世".encode()[:-1], "你好\ufffd"),
    *(
        (text.encode(name), text)
        for name, text in [
            ("cp1251", "Здравствуйте! Пишу вам по поводу завтрашней встречи."),
            ("koi8-r", "Здравствуйте! Пишу вам по поводу завтрашней встречи."),
            ("gbk", "您好，我写信是关于明天的会议。请确认您是否参加，谢谢。"),
            ("big5", "您好，我寫信是關於明天的會議。請確認您是否參加，謝謝。"),
            ("shift_jis", "お世話になっております。明日の会議の件でご連絡いたします。"),
            ("euc-jp", "お世話になっております。明日の会議の件でご連絡いたします。"),
            ("cp949", "안녕하세요. 내일 회의 건으로 연락드립니다."),
            ("cp932", "こんにちは"),
            ("euc-jp", "会議のお知らせ"),
            ("gbk", "会议通知"),
            ("cp949", "회의 알림"),
            ("cp874", "สวัสดีครับ"),
            ("koi8-r", "Ваш заказ принят"),
            ("cp1251", "Ваш заказ принят. " * 30),
            ("cp932", "お客様、ご注文を承りました。明日お届けいたします。"),
            ("cp1253", "Καλημέρα, σας γράφω για την αυριανή συνάντηση."),
            ("cp1256", "مرحبا، أكتب إليك بخصوص اجتماع الغد. يرجى تأكيد حضورك."),
        ]
    ),
]


@pytest.mark.parametrize("label", ["", "x-nonsense", "unknown-8bit"])
@pytest.mark.parametrize(("data", "text"), UNNAMED)
def test_text_without_a_name(data, text, label):
    assert decoded(data, label) == text
    assert decoded(b"plain " * 3000 + data, label).endswith(text)


def test_names_of_files_and_raw_headers_are_read_the_same_way():
    assert parameter({"filename": "Счёт на оплату.pdf".encode("cp1251")}, "filename") == "Счёт на оплату.pdf"
    assert parameter({"filename*": b"gb2312''%d6%ec%e9F"}, "filename") == "朱镕"
    assert parameter({"filename*0*": b"utf-7''+2AA", "filename*1*": b"-"}, "filename") == "\ufffd"
    assert header_text("Résumé – 中".encode()) == "Résumé – 中"


def test_what_is_guessed_does_not_depend_on_what_was_guessed_before():
    script = (
        "from engine.mail.charsets import decoded; import sys;"
        "texts = [t.encode('cp1251') for t in ('Привет, как дела', 'Счёт на оплату')] + [b'Caf\\xe9'];"
        "texts = texts[::-1] if sys.argv[1] == '1' else texts;"
        "print(sorted(decoded(t, '') for t in texts).__repr__().encode())"
    )
    runs = {
        subprocess.run(
            [sys.executable, "-c", script, order],
            capture_output=True,
            check=True,
            env={"PYTHONHASHSEED": seed},
            cwd=".",
        ).stdout
        for order, seed in (("0", "1"), ("1", "2"))
    }
    assert len(runs) == 1


NAMES = [
    "",
    "x",
    *(label for labels in LABELS.values() for label in labels[:1]),
    "utf-7",
    "euc-jp",
    "iso-2022-kr",
    "hz",
    "johab",
    "utf-32",
]


@given(st.binary(max_size=200), st.sampled_from(NAMES), st.booleans())
def test_anything_is_text_that_can_be_encoded(data, label, cut):
    text = decoded(data, label, cut=cut)
    text.encode()
    assert len(text) <= len(data)


@given(st.text())
def test_clean(text):
    clean(text).encode()
    assert clean(text) == text or any("\ud800" <= each <= "\udfff" for each in text)
    assert clean("\ud83d\ude00 \ud83d x") == "😀 \ufffd x"


@pytest.mark.parametrize(
    ("page", "charset", "text"),
    [
        ('<meta charset="windows-1251">', "", "Привет"),
        ("<META http-equiv=Content-Type content='text/html; charset=koi8-r'>", "us-ascii", "Привет"),
        ("<meta name='a'><meta charset = utf-8>", "", "grün"),  # a page of which this is wrong
        ('<meta charset="x-unknown">', "", "grün"),
        ("<meta charset=windows-1251>", "iso-8859-1", "grün"),  # the part says what it is
    ],
)
def test_a_page_may_name_its_charset(page: str, charset: str, text: str) -> None:
    codec = "koi8-r" if "koi8" in page else "cp1251" if text == "Привет" else "latin-1"
    raw = f"<html>{page}{text}".encode(codec)
    assert body_text(raw, "8bit", charset, html=True) == f"<html>{page}{text}"
    assert body_text("grün <meta charset=koi8-r>".encode(), "8bit", "", html=True) == "grün <meta charset=koi8-r>"
