import unicodedata

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from engine.imap.mailboxes import decode_name, encode_name, mailboxes
from engine.imap.responses import ListEntry


def entry(name: bytes, *flags: str, delimiter: str | None = "/") -> ListEntry:
    return ListEntry(frozenset(flags), delimiter, name)


def uses(*entries: ListEntry) -> dict[str, tuple[str, str]]:
    return {
        mailbox.path: (mailbox.special_use, mailbox.special_use_source)
        for mailbox in mailboxes(entries, utf8=False).values()
        if mailbox.special_use or mailbox.special_use_source
    }


def test_a_plain_mailbox():
    (found,) = mailboxes([entry(b"Entw&APw-rfe/2026", "\\HasNoChildren")], utf8=False).items()
    name, mailbox = found
    assert name == b"Entw&APw-rfe/2026"
    assert msgspec.structs.asdict(mailbox) == {
        "path": "Entwürfe/2026",
        "wire_name": b"Entw&APw-rfe/2026",
        "delimiter": "/",
        "flags": frozenset({"\\HasNoChildren"}),
        "special_use": None,
        "special_use_source": None,
        "mailbox_id": None,
    }


def test_marked_by_the_server():
    assert uses(
        entry(b"INBOX", "\\HasChildren"),
        entry(b"Gesendet", "\\sent"),
        entry(b"[Gmail]/Alle Nachrichten", "\\All", "\\HasNoChildren"),
        entry(b"Sent"),
        entry(b"Important", "\\Important"),
    ) == {
        "INBOX": ("\\Inbox", "name"),
        "Gesendet": ("\\Sent", "extension"),
        "[Gmail]/Alle Nachrichten": ("\\All", "extension"),
    }


def test_the_server_is_believed_over_the_name():
    assert uses(entry(b"Sent", "\\Archive"), entry(b"Gesendet")) == {
        "Sent": ("\\Archive", "extension"),
        "Gesendet": ("\\Sent", "name"),
    }
    assert uses(entry(b"Trash", "\\Junk")) == {"Trash": ("\\Junk", "extension")}


def test_known_by_name():
    assert uses(
        entry(b"Inbox"),
        entry(b"Gel&APY-schte Elemente"),
        entry(b"ENTW&ANw-RFE"),
        entry(b"Gesendete Elemente"),
        entry(b"Junk-E-Mail"),
        entry(b"Archiv"),
        entry(b"Rechnungen"),
    ) == {
        "Inbox": ("\\Inbox", "name"),
        "Gelöschte Elemente": ("\\Trash", "name"),
        "ENTWÜRFE": ("\\Drafts", "name"),
        "Gesendete Elemente": ("\\Sent", "name"),
        "Junk-E-Mail": ("\\Junk", "name"),
        "Archiv": ("\\Archive", "name"),
    }


@pytest.mark.parametrize(
    ("path", "use"),
    [
        ("Sent Items", "\\Sent"),
        ("Éléments envoyés", "\\Sent"),
        ("Elementos enviados", "\\Sent"),
        ("Posta inviata", "\\Sent"),
        ("Отправленные", "\\Sent"),
        ("送信済みアイテム", "\\Sent"),
        ("已发送", "\\Sent"),
        ("Gönderilmiş Öğeler", "\\Sent"),
        ("Brouillons", "\\Drafts"),
        ("下書き", "\\Drafts"),
        ("Deleted Items", "\\Trash"),
        ("Kosz", "\\Trash"),
        ("Корзина", "\\Trash"),
        ("Spam", "\\Junk"),
        ("Skräppost", "\\Junk"),
        ("Archives", "\\Archive"),
        ("Boite de réception", None),
        ("", None),
    ],
)
def test_languages(path, use):
    expected = {path: (use, "name")} if use else {}
    assert uses(entry(encode_name(path, utf8=False))) == expected


def test_decomposed_names():
    path = unicodedata.normalize("NFD", "Entwürfe")
    assert uses(entry(encode_name(path, utf8=False))) == {path: ("\\Drafts", "name")}


def test_only_where_servers_keep_them():
    assert uses(entry(b"Projects/Archive"), entry(b"Clients/Sent")) == {}
    assert uses(entry(b"INBOX.Sent", delimiter="."), entry(b"INBOX.Trash", delimiter=".")) == {
        "INBOX.Sent": ("\\Sent", "name"),
        "INBOX.Trash": ("\\Trash", "name"),
    }
    assert uses(entry(b"[Google Mail]/Spam")) == {"[Google Mail]/Spam": ("\\Junk", "name")}
    assert uses(entry(b"INBOX.Sent", delimiter=None)) == {}


def test_the_nearest_to_the_top_wins():
    assert uses(entry(b"INBOX/Sent"), entry(b"Sent Items"), entry(b"Sent")) == {"Sent Items": ("\\Sent", "name")}


def test_what_cannot_be_selected_is_no_place_for_mail():
    assert uses(entry(b"Sent", "\\NoSelect"), entry(b"Trash", "\\NonExistent")) == {}


@pytest.mark.parametrize(
    ("name", "utf8", "path"),
    [
        (b"a&b", False, "a&b"),
        (b"a&-b", True, "a&-b"),
        ("ü".encode(), False, "ü"),
        ("ü".encode(), True, "ü"),
        (b"Entw\xfcrfe", False, "Entw\ufffdFCrfe"),
        (b"\xfc", True, "\ufffdFC"),
        ("\ufffd".encode(), True, "\ufffd"),
        ("\ufffd41".encode(), True, "\ufffdEF\ufffdBF\ufffdBD41"),
        (b"&//0-", False, "&//0-"),
        (b"&,,0-", False, "\ufffd"),
        (b"&,,0-41", False, "&,,0-41"),
        (b"&2D0-", False, "&2D0-"),
        (b"&AEI-", False, "&AEI-"),
        (b"a\x01b", False, "a\ufffd01b"),
    ],
)
def test_names_never_fail(name, utf8, path):
    assert decode_name(name, utf8=utf8) == path


def listed(*names: bytes, utf8: bool = False) -> dict[bytes, str]:
    found = mailboxes([entry(name) for name in names], utf8=utf8)
    assert all(name == mailbox.wire_name for name, mailbox in found.items())
    return {name: mailbox.path for name, mailbox in found.items()}


@pytest.mark.parametrize(
    "names",
    [
        {b"Entw\xfcrfe": "Entw\ufffdFCrfe", b"Entw\xe4rfe": "Entw\ufffdE4rfe"},
        {"Café".encode(): "Caf\ufffdC3\ufffdA9", b"Caf&AOk-": "Café"},
        {"Café".encode(): "Café", b"Cafe": "Cafe"},
        {b"A&AEI-C": "A&AEI-C", b"ABC": "ABC"},
        {b"A&AEI-C": "A\ufffd26AEI-C", b"A&-AEI-C": "A&AEI-C"},
        {b"R&D": "R\ufffd26D", b"R&-D": "R&D"},
        {b"&AEkATgBCAE8AWA-": "&AEkATgBCAE8AWA-", b"INBOX": "INBOX"},
        {b"NIL": "NIL", b"nil": "nil"},
        {b"x\r\ny": "x\ufffd0D\ufffd0Ay"},
        {b"&//0-": "&//0-", b"&,,0-": "\ufffd"},
    ],
)
def test_each_name_has_a_path_of_its_own(names):
    assert listed(*names) == names
    assert listed(*reversed(names)) == names


def test_what_imap_cannot_carry_is_left_out():
    assert listed(b"a\0b", b"INBOX") == {b"INBOX": "INBOX"}


@given(st.lists(st.binary(min_size=1, max_size=6), max_size=8), st.booleans())
@example([b"&", b"\xef\xbf\xbd26", b"\xef\xbf\xbd"], False)
def test_no_two_names_have_one_path_and_none_is_lost(names, utf8):
    paths = listed(*names, utf8=utf8)
    assert set(paths) == {name for name in names if b"\0" not in name}
    assert len(set(paths.values())) == len(paths)
    for name, path in paths.items():
        path.encode()
        if "\ufffd" in path:
            assert encode_name(path, utf8=utf8) == name


def test_encode_name():
    assert encode_name("ü&", utf8=False) == b"&APw-&-"
    assert encode_name("ü&", utf8=True) == "ü&".encode()
    assert encode_name("\ufffd", utf8=False) == b"&,,0-"
    assert encode_name("a\ufffd26", utf8=False) == b"a&"
