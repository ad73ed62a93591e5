"""What mail programs and people write around the text of a reply, in some 25 languages: data.

The names and lines that a mail program writes itself are exact. Comparisons ignore case.
"""

from __future__ import annotations

from engine.mail.quote_words import WORDS


def _listed(text: str) -> frozenset[str]:
    return frozenset(entry.strip().casefold() for entry in text.replace("\n", "|").split("|") if entry.strip())


WROTE = _listed("""
wrote | writes | schrieb | schrieb am | geschrieben | a écrit | écrit | écrivait | escribió | ha scritto | escreveu
schreef | geschreven | skrev | skrev følgende | kirjoitti | napisał | napisała | napisał(a) | pisze | napsal | napsala
napsal(a) | napísal | napísal(a) | написал | написала | написал(а) | пишет | пише | написав | написав(ла) | yazdı
şunu yazdı | şunları yazdı | írta | ezt írta | a scris | έγραψε | kirjutas | rašė | rakstīja | va escriure
je napisao | je napisala | je napisal | menulis | đã viết | написа | כתב | 書きました | のメール | のメッセージ | 写道
寫道 | 写到 | 작성 | 님이 작성
""")
"""The words of a line above a quoted text, which ends with a colon."""

OPENING = _listed("""
on | am | le | el | il | em | op | den | dne | dňa | dnia | w dniu | pe | în | în data de | στις | pada | vào | la
ma
""")
"""How such a line may begin; others begin with a number or a weekday."""

AUTHOR = _listed("""
from | von | de | da | van | från | fra | lähettäjä | od | от | від | kimden | gönderen | 差出人 | 送信者 | 发件人
寄件者 | 寄件人 | 보낸 사람 | 보낸사람 | feladó | de la | από | saatja | nuo | no | expéditeur | remitente | mittente
afzender | avsändare | absender | отправитель | dari | từ | من | מאת | از | จาก | šalje | шаље | pošiljatelj
""") | {words.author.casefold() for words in WORDS.values()}
WHEN = _listed("""
sent | date | gesendet | datum | envoyé | date d'envoi | enviado | enviado el | fecha | enviada | enviada em
enviado em | inviato | data | verzonden | skickat | sendt | dato | lähetetty | päivämäärä | päiväys | wysłano
odesláno | odoslané | дата | отправлено | надіслано | gönderildi | gönderme tarihi | tarih | 送信日時 | 日時 | 日付
发送时间 | 发送日期 | 日期 | 寄件日期 | 傳送時間 | 보낸 날짜 | 날짜 | elküldve | küldve | dátum | trimis | στάλθηκε
ημερομηνία | dikirim | ngày | đã gửi | изпратено | تم الإرسال | أرسلت | التاريخ | נשלח | תאריך | ارسال شده | تاریخ
ส่ง | วันที่ | poslano | послато | poslato | saadetud | išsiųsta | nosūtīts
""") | {words.when.casefold() for words in WORDS.values()}
TO = _listed("""
to | an | à | a | para | per | aan | till | til | vastaanottaja | saaja | do | komu | кому | kime | alıcı | 宛先
收件人 | 收件者 | 받는 사람 | 받는사람 | címzett | către | προς | destinataire | destinatario | empfänger | kepada
đến | إلى | אל | به | ถึง | prima | прима | за | до | kam
""") | {words.to.casefold() for words in WORDS.values()}
SUBJECT = _listed("""
subject | betreff | objet | sujet | asunto | oggetto | assunto | onderwerp | ämne | emne | aihe | temat | předmět
predmet | тема | konu | 件名 | 主题 | 主題 | 主旨 | 제목 | tárgy | subiect | θέμα | subjek | chủ đề | относно
الموضوع | נושא | موضوع | เรื่อง | naslov | zadeva | teema | tema
""") | {words.subject.casefold() for words in WORDS.values()}
"""Names of the fields that a mail program writes above the original (`AUTHOR`, `WHEN`, `TO`, `SUBJECT`)."""

ORIGINAL = _listed("""
original message | original email | reply message | forwarded message | forwarded by | replied message
ursprüngliche nachricht | originalnachricht | original-nachricht | urspr. nachricht | message d'origine
message original | message d’origine | mensaje original | messaggio originale | mensagem original
oorspronkelijk bericht | originalmeddelande | ursprungligt meddelande | ursprungsmeddelande | oprindelig meddelelse
original meddelelse | opprinnelig melding | alkuperäinen viesti | wiadomość oryginalna | oryginalna wiadomość
původní zpráva | původní e-mail | pôvodná správa | исходное сообщение | оригинальное сообщение
оригінальне повідомлення | özgün ileti | orijinal mesaj | 元のメッセージ | 原始邮件 | 原始郵件 | 原邮件 | 回复的原邮件
원본 메시지 | 원본 메일 | eredeti üzenet | mesaj original | αρχικό μήνυμα | 転送メッセージ | pesan asli
""") | {words.forwarded.casefold() for words in WORDS.values()}
"""What stands between dashes above the original."""

FORWARDED = _listed("""
begin forwarded message | anfang der weitergeleiteten nachricht | début du message réexpédié
début du message transféré | inicio del mensaje reenviado | inizio messaggio inoltrato
início da mensagem reencaminhada | begin doorgestuurd bericht | vidarebefordrat brev | start på videresendt meddelelse
początek przekazywanej wiadomości | начало переадресованного сообщения | 転送されたメッセージ | 下面是被转发的邮件
开始转发的邮件
""")
"""The line above the original that stands without dashes and ends with a colon."""

_DEVICE = """
sent from my | sent from mail | sent from outlook | sent from yahoo | sent from proton | sent from samsung | sent via
sent with | sent using | get outlook for | get bluemail for | von meinem | von meiner | gesendet von | gesendet mit
gesendet über | diese nachricht wurde von meinem | outlook für | laden sie outlook | holen sie sich outlook
envoyé de | envoyé depuis | envoyé à partir | envoyé avec | obtenir outlook | obtenez outlook | télécharger outlook
téléchargez outlook | enviado desde | enviado do | enviado de | enviado a partir | enviado con | enviado através
obtener outlook | obtenha o outlook | baixar o outlook | obter o outlook | inviato da | inviato dal | inviato con
ottieni outlook | scarica outlook | verstuurd vanaf | verzonden vanaf | verzonden met | verzonden via
download outlook | outlook voor | skickat från | hämta outlook | sendt fra | få outlook | hent outlook | lähetetty
hanki outlook | wysłane z | wysłano z | pobierz outlook | pobierz aplikację | odesláno z | získejte outlook
odoslané z | отправлено с | отправлено из | отправлено от | скачать outlook | надіслано з | iphone'umdan gönderildi
iphone’umdan gönderildi | android için outlook | ios için outlook | iphoneから送信 | ipadから送信 | androidから送信
iphone から送信 | ipad から送信 | outlook for ios を入手 | 发自我的 | 發自我的 | 从我的 | 從我的 | 来自我的
获取 outlook | 取得 outlook | 下載 outlook | 나의 iphone에서 보냄 | iphone에서 보냄 | 내 iphone에서
iphone-omról küldve | ipademről küldve | trimis de pe | trimis din | στάλθηκε από | εστάλη από | dikirim dari
مُرسل من | مرسل من | أُرسلت من | أرسلت من | נשלח מה | נשלח מ | ارسال شده از | đã gửi từ | được gửi từ | ส่งจาก
изпратено от | poslano s | poslano iz
"""
DEVICE = tuple(sorted(_listed(_DEVICE)))
"""How a line begins that a telephone or a mail program adds at the end."""

CLOSING = _listed("""
best regards | kind regards | regards | warm regards | warmest regards | with kind regards | best wishes
all the best | sincerely | yours sincerely | sincerely yours | yours faithfully | yours truly | cordially
respectfully | br | rgds | many thanks and regards | thanks and regards | thanks & regards
thank you and best regards | cheers | best | mit freundlichen grüßen | mit freundlichen grüssen
mit freundlichem gruß | mit freundlichem gruss | freundliche grüße | freundliche grüsse | viele grüße | viele grüsse
beste grüße | liebe grüße | liebe grüsse | herzliche grüße | lg | mfg | vg | schöne grüße | mit besten grüßen
beste grüsse | grüße | gruß | viele liebe grüße | hochachtungsvoll | cordialement | bien cordialement | bien à vous
cdlt | sincères salutations | meilleures salutations | salutations | très cordialement | amicalement | bonne journée
bien à toi | cordiales salutations | saludos | un saludo | saludos cordiales | atentamente | cordialmente
un cordial saludo | un abrazo | abrazos | muchos saludos | atte | le saluda atentamente | reciba un cordial saludo
cordiali saluti | distinti saluti | saluti | un saluto | un caro saluto | cari saluti | buona giornata | a presto
atenciosamente | cumprimentos | com os melhores cumprimentos | melhores cumprimentos | um abraço | abraços | att
cordiais saudações | obrigado e cumprimentos | abraço | met vriendelijke groet | met vriendelijke groeten
vriendelijke groet | vriendelijke groeten | hartelijke groet | hartelijke groeten | groet | groeten | mvg
met hartelijke groet | m.v.g | med vänliga hälsningar | vänliga hälsningar | hälsningar | med vänlig hälsning
vänligen | bästa hälsningar | mvh | med venlig hilsen | venlig hilsen | hilsen | bedste hilsner | mange hilsner
kærlig hilsen | vh | med vennlig hilsen | vennlig hilsen | beste hilsen | hilsning | ystävällisin terveisin
terveisin | parhain terveisin | yt | terveiset | z poważaniem | pozdrawiam | serdecznie pozdrawiam
z wyrazami szacunku | pozdrowienia | pozdrawiam serdecznie | s pozdravem | s přátelským pozdravem | hezký den | zdraví
s úctou | s pozdravom | с уважением | с наилучшими пожеланиями | всего доброго | всего хорошего | с приветом
з повагою | з найкращими побажаннями | всього найкращого | щиро | saygılarımla | saygılarımızla | iyi çalışmalar
sevgiler | iyi günler | selamlar | üdvözlettel | tisztelettel | üdv | szép napot | cu stimă | cu respect | o zi bună
toate cele bune | με εκτίμηση | φιλικά | ευχαριστώ | よろしくお願いします | よろしくお願いいたします
よろしくお願い致します | 宜しくお願いします | 宜しくお願い致します | 敬具 | 以上 | 以上、よろしくお願いいたします
此致 | 敬礼 | 此致敬礼 | 祝好 | 顺祝商祺 | 谨启 | 敬上 | 祝 好 | 敬請鈞安 | 順頌商祺 | 此致 敬礼 | 드림 | 올림
안녕히 계세요
""")
"""Lines that a closing consists of, without the punctuation after it."""

CLOSING_ENDS = (
    "よろしくお願いします",
    "よろしくお願いいたします",
    "よろしくお願い致します",
    "よろしくお願い申し上げます",
    "宜しくお願い致します",
)
"""How such a line ends, whatever stands before."""

BEFORE_A_NAME = CLOSING - _listed(
    "best | yours | respectfully | cordially | att | br | yt | vh | 以上 | salutations | hilsning"
)
"""Closings that a name may follow on the same line."""

THANKS = _listed("""
thanks | thank you | many thanks | thx | thanks again | thanks a lot | danke | vielen dank | danke schön | merci
merci beaucoup | merci d'avance | gracias | muchas gracias | grazie | grazie mille | obrigado | obrigada
muito obrigado | bedankt | dank je | dank u | alvast bedankt | tack | tack så mycket | tak | mange tak | takk | kiitos
kiitos paljon | dziękuję | z góry dziękuję | děkuji | díky | спасибо | большое спасибо | дякую | teşekkürler
teşekkür ederim | köszönöm | köszönettel | mulțumesc | ありがとうございます | 谢谢 | 謝謝 | 고맙습니다 | 감사합니다
""")
"""The same where a name follows; alone they are what the reply says."""
