"""How mail programs title automatic replies, and how people say that they are away, in some 30 languages: data."""

from __future__ import annotations

TITLES = r"""
(?:auto|oof|ooo|vacation):
auto(?:matic|mated|matisch|matische)?[ -]?(?:reply|response|antwort|antwoord|svar)
automatiskt? svar|automatinis atsakymas|automaattinen vastaus|automaatvastus|automatikus válasz
automātiskā atbilde|automatski odgovor
automatick[áa] odpove[ďd]|automatick[áa] odpověď|odpowiedź automatyczna|răspuns automat|otomatik yanıt|samodejni odgovor
(?:r[eé]ponse|respuesta|resposta|risposta) autom[aáà]ti(?:ca?|que)|balasan otomatis|trả lời tự động
αυτόματη απάντηση|автоматический ответ|автоответ|автоматична відповідь|автоматичен отговор
自動返信|自動応答|自動回覆|自动回复|自动答复|자동 ?(?:회신|응답)|תשובה אוטומטית|رد تلقائي|پاسخ خودکار|ตอบกลับอัตโนมัติ
out of (?:the )?office|vacation (?:reply|response)|abwesenheit|absence du bureau|fuori sede|fuera de (?:la )?oficina
(?:afwezig|frånvaro|fravær|poissa|poza biurem|mimo kancelář|mimo kancelárie|ikke til stede):
aus[eê]ncia(?: tempor[aá]ria)?:
不在通知|不在の連絡|休假通知|부재중
"""
"""Patterns of how the subject of an automatic reply begins; a line break is an alternative, too."""

AWAY = r"""
out[- ]of[- ](?:the[- ])?office|\booo\b|\boof\b|(?:on|for my) (?:\w+ )?(?:vacation|holidays?|leave)\b
vacation (?:reply|response)|^vacation:|away from (?:the|my) (?:office|desk|e-?mail)|(?:not|n't) (?:be )?in the office
(?:i am|i'm|will be|currently) (?:away|unavailable|travell?ing|out (?:until|till|from))|back in the office
limited access to (?:my )?e-?mail|abwesen|nicht (?:im|am|in meinem) (?:büro|hause?|arbeitsplatz)|(?:im|in) urlaub
bin (?:erst )?(?:wieder )?(?:ab|am) .{1,40} wieder (?:da|erreichbar|im büro)|absen(?:ce|t|te)\b
en (?:congés?|vacances)|de retour (?:le|au bureau)|fuera de (?:la )?oficina|de vacaciones|ausente|ausencia|ausência
estaré fuera|fuori (?:sede|ufficio)|in ferie|in vacanza|assente|assenza|fora do escritório|de férias
de vacances|fora de l'oficina|afwezig|niet op kantoor|op vakantie|met (?:vakantie|verlof)|frånvar|på semester
inte på kontoret|semesterledig|är ledig|fravær|ikke på kontoret|på ferie|har ferie|ikke til stede
poissa(?:olo)?|\blomalla\b|en ole toimistolla|poza biurem|nieobecn|na urlopie|mimo kancelář|nejsem v kanceláři
na dovolené|nepřítom|mimo kancelárie|na dovolenke|neprítom|нет на (?:рабочем )?месте|не в офисе|вне офиса|в отпуск
отсутств|у відпустці|відсутн|отсъств|извън офиса|ofis dışında|izinde|tatilde|izindeyim|házon kívül|szabadságon|távollét
în concediu|nu sunt la birou|εκτός γραφείου|απουσ|σε άδεια|na godišnjem|nisam u uredu|odsutan|odsutna|na dopustu|odsot
puhkusel|atostog|atvaļinājum|sedang cuti|di luar kantor|nghỉ phép|vắng mặt|ลาพักร้อน|ไม่อยู่ที่ทำงาน|מחוץ למשרד|בחופשה|בחופש
خارج المكتب|في إجازة|مرخصی|不在|休暇|外出中|休業|休假|外出|出差|度假|不在(?:办公室|辦公室)|부재|휴가
"""
"""The same of what says in a subject or text that someone is away."""


def pattern(lines: str) -> str:
    """One pattern of all alternatives."""
    return "|".join(lines.split("\n")[1:-1])
