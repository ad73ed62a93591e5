"""The words around a quoted message, by language: data."""

from __future__ import annotations

from typing import NamedTuple


class Words(NamedTuple):
    """`date` and `wrote` are format strings; a date has `d m y`, `dd mm` with two digits, `mon` and `time`.

    `forwarded` is the line above a forwarded message, the rest are the names of its fields.
    """

    date: str
    wrote: str
    forwarded: str
    author: str
    when: str
    subject: str
    to: str
    cc: str


MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
"""In English, the only language here whose readers disagree about the order of numbers in a date."""

_TABLE = """
en | {d} {mon} {y} at {time} | On {date}, {name} wrote: | Forwarded message | From | Date | Subject | To | Cc
cs | {d}. {m}. {y} {time} | Dne {date} {name} napsal(a): | Přeposlaná zpráva | Od | Datum | Předmět | Komu | Kopie
da | {dd}.{mm}.{y} kl. {time} | Den {date} skrev {name}: | Videresendt meddelelse | Fra | Dato | Emne | Til | Cc
de | {dd}.{mm}.{y} um {time} | Am {date} schrieb {name}: | Weitergeleitete Nachricht | Von | Datum | Betreff | An | Cc
es | {dd}/{mm}/{y} a las {time} | El {date}, {name} escribió: | Mensaje reenviado | De | Fecha | Asunto | Para | Cc
et | {dd}.{mm}.{y} {time} | {date} kirjutas {name}: | Edastatud kiri | Saatja | Kuupäev | Teema | Saaja | Koopia
fi | {d}.{m}.{y} klo {time} | {name} kirjoitti {date}: | Välitetty viesti | Lähettäjä | Päiväys | Aihe | Saaja | Kopio
fr | {dd}/{mm}/{y} à {time} | Le {date}, {name} a écrit : | Message transféré | De | Date | Objet | À | Cc
hu | {y}.{mm}.{dd}. {time} | {name} ezt írta ({date}): | Továbbított üzenet | Feladó | Dátum | Tárgy | Címzett | Másolat
it | {dd}/{mm}/{y} {time} | Il {date}, {name} ha scritto: | Messaggio inoltrato | Da | Data | Oggetto | A | Cc
ja | {y}年{m}月{d}日 {time} | {date} {name}: | 転送されたメッセージ | 差出人 | 日時 | 件名 | 宛先 | Cc
ko | {y}년 {m}월 {d}일 {time} | {date}, {name} 작성: | 전달된 메시지 | 보낸사람 | 날짜 | 제목 | 받는사람 | 참조
lt | {y}-{mm}-{dd} {time} | {date}, {name} rašė: | Persiųstas laiškas | Nuo | Data | Tema | Kam | Kopija
lv | {dd}.{mm}.{y} {time} | {date} {name} rakstīja: | Pārsūtīts ziņojums | No | Datums | Temats | Kam | Kopija
nb | {dd}.{mm}.{y} kl. {time} | Den {date} skrev {name}: | Videresendt melding | Fra | Dato | Emne | Til | Kopi
nl | {dd}-{mm}-{y} {time} | Op {date} schreef {name}: | Doorgestuurd bericht | Van | Datum | Onderwerp | Aan | Cc
pl | {dd}.{mm}.{y} {time} | {date} {name} pisze: | Przekazana wiadomość | Od | Data | Temat | Do | DW
pt | {dd}/{mm}/{y} {time} | Em {date}, {name} escreveu: | Mensagem encaminhada | De | Data | Assunto | Para | Cc
ro | {dd}.{mm}.{y} {time} | {name} a scris la {date}: | Mesaj redirecționat | De la | Data | Subiect | Către | Cc
ru | {dd}.{mm}.{y} {time} | {date}, {name} пишет: | Пересылаемое сообщение | От | Дата | Тема | Кому | Копия
sv | {y}-{mm}-{dd} {time} | Den {date} skrev {name}: | Vidarebefordrat meddelande | Från | Datum | Ämne | Till | Kopia
tr | {dd}.{mm}.{y} {time} | {date} tarihinde {name} yazdı: | İletilen ileti | Kimden | Tarih | Konu | Kime | Bilgi
uk | {dd}.{mm}.{y} {time} | {date}, {name} пише: | Переслане повідомлення | Від | Дата | Тема | Кому | Копія
zh | {y}年{m}月{d}日 {time} | {name} 于{date}写道： | 转发的邮件 | 发件人 | 日期 | 主题 | 收件人 | 抄送
zh-tw | {y}年{m}月{d}日 {time} | {name} 於 {date} 寫道： | 轉寄的郵件 | 寄件者 | 日期 | 主旨 | 收件者 | 副本
"""
WORDS = {
    language: Words(*words)
    for language, *words in ([cell.strip() for cell in row.split(" | ")] for row in _TABLE.strip().splitlines())
}
_OTHER_NAMES = {"no": "nb", "nn": "nb", "zh-hant": "zh-tw", "zh-hk": "zh-tw", "zh-mo": "zh-tw"}


def words_of(locale: str) -> Words:
    """The words for a locale (`de`, `pt-BR`, `zh_Hant_TW`); English if there are none."""
    parts = locale.lower().replace("_", "-").split("-")
    for name in ("-".join(parts[:2]), parts[0]):
        if (found := WORDS.get(_OTHER_NAMES.get(name, name))) is not None:
            return found
    return WORDS["en"]
