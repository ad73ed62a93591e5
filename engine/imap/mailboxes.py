"""Mailboxes as the rest of the engine sees them: decoded names, and which one is for Sent, Drafts, Trash ...

The server's own marks (RFC 6154, or plain LIST flags) are trusted. For a use that it marks nowhere, a mailbox with a
common name for it in one of several languages is chosen, and `special_use_source` says so.

Each name in a LIST gets a unique path, and the name is stored with it, since the server must get back exactly what it
sent. Correctly encoded names come first. Names that break the rules (raw UTF-8, or "R&D") are shown as a person would
read them. If another mailbox has that path, or the bytes make no sense, each byte is shown as U+FFFD and two
hexadecimal digits.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

import msgspec

from engine.imap import utf7
from engine.imap.responses import ListEntry

INBOX = "\\Inbox"
SUBSCRIBED = "\\Subscribed"
SPECIAL_USES = ("\\All", "\\Archive", "\\Drafts", "\\Flagged", "\\Junk", "\\Sent", "\\Trash")

_NAMES = {
    "\\Sent": """
        sent|sent items|sent mail|sent messages|sent-mail
        gesendet|gesendete elemente|gesendete objekte|gesendete nachrichten
        envoyés|messages envoyés|éléments envoyés|courrier envoyé|objets envoyés
        enviados|elementos enviados|mensajes enviados|correo enviado|itens enviados|mensagens enviadas|e-mails enviados
        enviats|elements enviats|posta inviata|inviati|inviata
        verzonden|verzonden items|verzonden berichten|skickat|skickade objekt|skickade|sendt|sendte elementer|sendte
        sendt post|lähetetyt|lähetetyt viestit|saadetud|saadetud kirjad|nosūtītie|išsiųsti|išsiųsti laiškai
        wysłane|elementy wysłane|odeslané|odeslaná pošta|odoslané|odoslaná pošta|elküldött|elküldött elemek|trimise
        elemente trimise|poslano|poslana pošta|poslane poruke|послати|изпратени|отправленные|отправленное|надіслані
        відправлені|απεσταλμένα|gönderilmiş öğeler|gönderilenler|gönderilmiş|נשלח|פריטים שנשלחו|המכתבים שנשלחו
        المرسلة|العناصر المرسلة|البريد المرسل|भेजे गए|đã gửi|thư đã gửi|terkirim|item terkirim|ส่งแล้ว
        送信済み|送信済みアイテム|送信済みメール|已发送|已发送邮件|已发邮件|寄件備份|已傳送|보낸편지함|보낸 편지함
    """,
    "\\Drafts": """
        drafts|draft|entwürfe|entwurf|brouillons|brouillon|borradores|borrador|rascunhos|esborranys|bozze|concepten
        utkast|kladder|kladde|udkast|luonnokset|mustandid|melnraksti|juodraščiai|kopie robocze|wersje robocze|szkice
        koncepty|rozepsané|rozpísané|piszkozatok|vázlatok|ciorne|osnutki|skice|нацрти|чернови|черновики|чернетки
        πρόχειρα|taslaklar|טיוטות|المسودات|مسودات|ड्राफ़्ट|bản nháp|thư nháp|draf|konsep|ฉบับร่าง
        下書き|草稿|草稿箱|草稿匣|임시보관함|임시 보관함
    """,
    "\\Trash": """
        trash|deleted|deleted items|deleted messages|bin|papierkorb|gelöschte elemente|gelöschte objekte|gelöscht
        corbeille|éléments supprimés|messages supprimés|papelera|elementos eliminados|eliminados|paperera
        lixeira|lixo|itens excluídos|itens eliminados|cestino|posta eliminata|prullenbak|verwijderde items|verwijderd
        papperskorgen|papperskorg|borttagna objekt|papirkurv|papirkurven|slettede elementer|slettet post|roskakori
        poistetut|prügikast|miskaste|atkritne|šiukšliadėžė|šiukšlinė|kosz|elementy usunięte|koš|odstraněná pošta|kôš
        odstránená pošta|kuka|lomtár|törölt elemek|coș de gunoi|coşul de gunoi|elemente șterse|koš za smeti|smeće
        смеће|кошче|изтрити|корзина|удаленные|удалённые|кошик|видалені|κάδος|κάδος απορριμμάτων|διαγραμμένα
        çöp kutusu|çöp|silinmiş öğeler|אשפה|פריטים שנמחקו|المهملات|سلة المهملات|العناصر المحذوفة|ट्रैश
        thùng rác|sampah|kotak sampah|ถังขยะ|ゴミ箱|ごみ箱|削除済みアイテム|已删除|已删除邮件|垃圾桶|刪除的郵件|휴지통
        지운 편지함
    """,
    "\\Junk": """
        junk|junk e-mail|junk email|junk mail|spam|bulk|bulk mail|junk-e-mail|spamverdacht|unerwünscht|werbung
        courrier indésirable|indésirables|pourriel|correo no deseado|no deseado|correu brossa|lixo eletrônico
        correio de lixo|lixo electrónico|posta indesiderata|ongewenste e-mail|ongewenst|skräppost|søppelpost|uønsket
        uønsket e-post|uønsket post|roskaposti|rämpspost|mēstules|šlamštas|brukalas|wiadomości-śmieci|niechciane
        nevyžádaná pošta|nevyžádané|nevyžiadaná pošta|levélszemét|mesaje nedorite|neželena pošta|neželjena pošta
        непожељна|нежелана пошта|нежелательная почта|спам|небажана пошта|ανεπιθύμητα|ανεπιθύμητη αλληλογραφία
        istenmeyen|gereksiz|önemsiz e-posta|önemsiz|זבל|דואר זבל|ספאם|البريد المزعج|غير مرغوب|स्पैम|thư rác|จดหมายขยะ
        迷惑メール|垃圾邮件|垃圾箱|垃圾郵件|스팸|스팸메일함|스팸편지함|정크 메일
    """,
    "\\Archive": """
        archive|archives|archived|archiv|archivierte elemente|archivo|archivados|arquivo|arquivo morto|arxiu|archivio
        archief|arkiv|arkisto|arhiiv|arhīvs|archyvas|archiwum|archív|archívum|arhivă|arhiva|arhiv|архива|архив|архів
        αρχείο|αρχειοθήκη|arşiv|ארכיון|أرشيف|الأرشيف|आर्काइव|lưu trữ|arsip|เก็บถาวร|アーカイブ|归档|存档|封存|보관함|보관
    """,
}


def _folded(name: str) -> str:
    return unicodedata.normalize("NFKC", name.strip()).casefold()


_USE_OF_NAME = {
    _folded(name): use
    for use, names in _NAMES.items()
    for line in names.strip().split("\n")
    for name in line.split("|")
}


_MARK = "\ufffd"
_UNREADABLE = re.compile(rb"[^\x20-\x7e]|&")
_ESCAPE = re.compile(f"{_MARK}([0-9A-F]{{2}})")
_ESCAPED = re.compile(f"(?:[\x20-\x7e]|{_MARK}[0-9A-F]{{2}})*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class Mailbox(msgspec.Struct, frozen=True, kw_only=True):
    """One mailbox of an account.

    `path` is the decoded full name, `wire_name` the name that the server listed; `delimiter` separates its levels, None
    if there are none; `flags` are as the server sent them; `special_use` is one of `SPECIAL_USES` or `\\Inbox`, with
    `special_use_source` `extension` (the server said so) or `name`; both are None for an ordinary mailbox.
    `mailbox_id` is the server's own id, which another path does not change (RFC 8474), if it came with the list.
    """

    path: str
    wire_name: bytes = b""
    delimiter: str | None
    flags: frozenset[str]
    special_use: str | None = None
    special_use_source: str | None = None
    mailbox_id: str | None = None

    @property
    def selectable(self) -> bool:
        """Whether it can contain messages; otherwise it is only a level in the tree."""
        return not {"\\noselect", "\\nonexistent"} & {flag.lower() for flag in self.flags}

    @property
    def name(self) -> str:
        """The last level of its path."""
        return self.path.rpartition(self.delimiter)[2] if self.delimiter else self.path


def encode_name(path: str, *, utf8: bool) -> bytes:
    """The path as a name on the wire. Raises `ValueError` for lone surrogates."""
    if _MARK in path and (name := _unescaped(path)) is not None:
        return name
    return path.encode() if utf8 else utf7.encode(path)


def decode_name(name: bytes, *, utf8: bool) -> str:
    """A name on the wire as a path that a person can read. Never fails, but two names may give the same path."""
    return _by_the_rules(name, utf8=utf8) or _readable(name) or _escaped(name)


def _by_the_rules(name: bytes, *, utf8: bool) -> str | None:
    try:
        path = name.decode() if utf8 else utf7.decode(name)
        return path if _MARK not in path and (utf8 or utf7.encode(path) == name) else None
    except ValueError:
        return None


def _readable(name: bytes) -> str | None:
    try:
        path = name.decode()
    except UnicodeDecodeError:
        return None
    return None if _MARK in path or _CONTROL.search(path) else path


def _escaped(name: bytes) -> str:
    """A form unique to each name, and distinct from every valid name: none of those contains U+FFFD."""
    return _UNREADABLE.sub(lambda match: f"{_MARK}{match[0][0]:02X}".encode(), name).decode()


def _unescaped(path: str) -> bytes | None:
    if _ESCAPED.fullmatch(path) is None:
        return None
    return _ESCAPE.sub(lambda match: chr(int(match[1], 16)), path).encode("latin-1")


def mailboxes(entries: Iterable[ListEntry], *, utf8: bool) -> dict[bytes, Mailbox]:
    """The mailboxes of a LIST by their name on the wire, in the server's order, each with a different path.

    A name with NUL is left out, since IMAP cannot send it back.
    """
    several = {entry.name: entry for entry in entries if b"\0" not in entry.name}
    paths = {name: path for name in several if (path := _by_the_rules(name, utf8=utf8)) is not None}
    taken = set(paths.values())
    for name in several:
        if name not in paths:
            readable = _readable(name)
            paths[name] = _escaped(name) if readable is None or readable in taken else readable
            taken.add(paths[name])
    found = {}
    for name, entry in several.items():
        path = paths[name]
        use, source = _marked_use(entry.flags), "extension"
        if path.upper() == "INBOX":
            use, source = INBOX, "name"
        found[name] = Mailbox(
            path=path,
            wire_name=name,
            delimiter=entry.delimiter,
            flags=entry.flags,
            special_use=use,
            special_use_source=source if use else None,
        )
    _use_names(found)
    return found


def _marked_use(flags: Iterable[str]) -> str | None:
    lowered = {flag.lower() for flag in flags}
    return next((use for use in SPECIAL_USES if use.lower() in lowered), None)


def _use_names(found: dict[bytes, Mailbox]) -> None:
    """For each use that the server marked nowhere, mark the topmost mailbox with a name for it."""
    taken = {mailbox.special_use for mailbox in found.values()}
    for name, mailbox in sorted(found.items(), key=lambda item: _parent(item[1]) != ""):
        use = _USE_OF_NAME.get(_folded(mailbox.name))
        if use and use not in taken and mailbox.special_use is None and _may_have_use(mailbox):
            taken.add(use)
            found[name] = msgspec.structs.replace(mailbox, special_use=use, special_use_source="name")


def _parent(mailbox: Mailbox) -> str:
    return mailbox.path.rpartition(mailbox.delimiter)[0] if mailbox.delimiter else ""


def _may_have_use(mailbox: Mailbox) -> bool:
    # "Projects/Archive" is a user's own mailbox; "INBOX.Sent" and "[Google Mail]/Trash" are the server's.
    parent = _parent(mailbox).upper()
    own = parent in ("", "INBOX") or (parent.startswith("[") and parent.endswith("]"))
    return own and mailbox.selectable
