"""Which replies a program wrote, and which because the person is away."""

from __future__ import annotations

import pytest

from engine.mail.auto_reply import is_auto_reply, kind_of_reply
from engine.mail.header_reading import fields


@pytest.mark.parametrize(
    ("header", "subject", "text", "kind"),
    [
        ("", "Re: Hello", "Tuesday is fine.", None),
        ("", "Re: Hello", "I am out of the office tomorrow, so Tuesday.", None),
        ("Auto-Submitted: no", "Re: Hello", "Fine.", None),
        ("Precedence: list\r\nList-Id: <l.example>", "Re: Hello", "Fine.", None),
        ("Precedence: bulk\r\nList-Id: <l.example>", "Re: Hello", "Fine.", None),
        ("Auto-Submitted: auto-generated\r\nList-Id: <l.example>", "Re: Hello", "Fine.", None),
        ("Auto-Submitted: auto-replied", "[#12] Hello", "We received your request.", "autoReply"),
        ("Auto-Submitted: auto-generated", "[#12] Hello", "We received your request.", "autoReply"),
        ("Precedence: auto_reply", "Re: Hello", "", "autoReply"),
        ("Precedence: junk", "Re: Hello", "Thank you for writing.", "autoReply"),
        ("X-Autoreply: yes", "Re: Hello", "Thank you for writing.", "autoReply"),
        ("X-Auto-Response-Suppress: All", "Re: Hello", "Thank you for writing.", "autoReply"),
        ("Auto-Submitted: auto-replied (vacation)", "Auto: Hello", "", "outOfOffice"),
        ("Auto-Submitted: auto-replied", "Out of Office Re: Hello", "", "outOfOffice"),
        ("X-Autorespond: Hello", "Re: Hello", "I will be back on Monday; I am on annual leave.", "outOfOffice"),
        ("Precedence: bulk", "Re: Hello", "I'm away until Monday.", "outOfOffice"),
        ("", "Abwesenheitsnotiz: Hallo", "", "outOfOffice"),
        ("", "Automatische Antwort: Hallo", "Ich bin bis Montag nicht im Büro.", "outOfOffice"),
        ("", "Réponse automatique : Bonjour", "Je suis absent jusqu'à lundi.", "outOfOffice"),
        ("", "Respuesta automática: Hola", "Estoy de vacaciones hasta el lunes.", "outOfOffice"),
        ("", "Risposta automatica: Ciao", "Sono in ferie fino a lunedì.", "outOfOffice"),
        ("", "Resposta automática: Olá", "Estou de férias.", "outOfOffice"),
        ("Auto-Submitted: auto-replied", "Automatisch antwoord", "Ik ben tot maandag niet op kantoor.", "outOfOffice"),
        ("Auto-Submitted: auto-replied", "Autosvar", "Jag är på semester till måndag.", "outOfOffice"),
        ("Auto-Submitted: auto-replied", "Autosvar", "Jeg er på ferie til mandag.", "outOfOffice"),
        ("Auto-Submitted: auto-replied", "Odpowiedź automatyczna", "Jestem na urlopie.", "outOfOffice"),
        ("", "Автоматический ответ: Привет", "Я в отпуске до понедельника.", "outOfOffice"),
        ("Auto-Submitted: auto-replied", "Re", "Pazartesiye kadar ofis dışındayım.", "outOfOffice"),
        ("", "自動返信: こんにちは", "休暇をいただいております。", "outOfOffice"),
        ("", "自动回复: 你好", "我正在休假。", "outOfOffice"),
        ("Auto-Submitted: auto-replied", "Re", "월요일까지 휴가입니다.", "outOfOffice"),
    ],
)
def test_kinds(header: str, subject: str, text: str, kind: str | None) -> None:
    read = fields(header.encode() + b"\r\n\r\n")
    automatic = is_auto_reply(read, subject, answers=True)
    assert kind_of_reply(read, subject, text, automatic=automatic) == kind
