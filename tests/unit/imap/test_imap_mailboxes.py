import unicodedata

import msgspec
import pytest

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
        "delimiter": "/",
        "flags": frozenset({"\\HasNoChildren"}),
        "special_use": None,
        "special_use_source": None,
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
        (b"\xfc", False, "�"),
        (b"\xfc", True, "�"),
    ],
)
def test_names_never_fail(name, utf8, path):
    assert decode_name(name, utf8=utf8) == path


def test_encode_name():
    assert encode_name("ü&", utf8=False) == b"&APw-&-"
    assert encode_name("ü&", utf8=True) == "ü&".encode()
