"""Which mailbox is for Sent, Drafts, Trash ...: the server's marks (RFC 6154, or plain LIST flags), else common names.

The marks are trusted. The names, in many languages, are for uses that the server marks nowhere.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

INBOX = "\\Inbox"
_USES = ("\\All", "\\Archive", "\\Drafts", "\\Flagged", "\\Junk", "\\Sent", "\\Trash")

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


def marked_use(flags: Iterable[str]) -> str | None:
    """The use that the server's flags give a mailbox."""
    lowered = {flag.lower() for flag in flags}
    return next((use for use in _USES if use.lower() in lowered), None)


def use_of_name(name: str) -> str | None:
    """The use for which a mailbox with this name (its last level) is common."""
    return _USE_OF_NAME.get(_folded(name))
