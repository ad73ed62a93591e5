"""The verdict table, and the codes and words callers see."""

import pytest

from engine.errors import NetworkError, NetworkKind, ProtocolError
from engine.smtp.replies import Reply
from engine.smtp.verdict import Kind, Stage, Verdict, command, error_code, error_text, of_network, of_reply


@pytest.mark.parametrize(
    ("stage", "code", "kind"),
    [
        (Stage.MAIL, 250, Kind.ACCEPTED),
        (Stage.RCPT, 251, Kind.ACCEPTED),
        (Stage.DOT, 250, Kind.ACCEPTED),
        (Stage.DATA, 354, Kind.ACCEPTED),
        (Stage.DATA, 250, Kind.LATER),
        (Stage.MAIL, 354, Kind.LATER),
        (Stage.RCPT, 450, Kind.LATER),
        (Stage.RCPT, 552, Kind.LATER),
        (Stage.RCPT, 503, Kind.LATER),
        (Stage.DOT, 421, Kind.LATER),
        (Stage.DOT, 503, Kind.LATER),
        (Stage.DOT, 354, Kind.DOUBT),
        (Stage.MAIL, 550, Kind.REJECTED),
        (Stage.MAIL, 552, Kind.REJECTED),
        (Stage.RCPT, 550, Kind.REJECTED),
        (Stage.DATA, 554, Kind.REJECTED),
        (Stage.DOT, 552, Kind.REJECTED),
        (Stage.GREETING, 554, Kind.LATER),
        (Stage.EHLO, 550, Kind.LATER),
        (Stage.TLS, 501, Kind.LATER),
        (Stage.AUTH, 235, Kind.ACCEPTED),
        (Stage.AUTH, 454, Kind.LATER),
        (Stage.AUTH, 535, Kind.LOGIN_REFUSED),
        (Stage.AUTH, 504, Kind.LOGIN_REFUSED),
    ],
)
def test_replies(stage, code, kind):
    verdict = of_reply(stage, Reply(code, ("5.1.1 no", "more")))
    assert (verdict.kind, verdict.stage, verdict.code, verdict.network) == (kind, stage, code, None)
    assert verdict.enhanced == ("5.1.1" if code >= 500 else None)
    assert verdict.text == f"{code}-5.1.1 no\n{code} more"


@pytest.mark.parametrize("stage", Stage)
@pytest.mark.parametrize(
    ("kind", "short"),
    [
        (NetworkKind.DNS, "EDNS"),
        (NetworkKind.CONNECT, "ESOCKET"),
        (NetworkKind.TIMEOUT, "ETIMEDOUT"),
        (NetworkKind.TLS, "ETLS"),
        (NetworkKind.CLOSED, "ECONNECTION"),
    ],
)
def test_network(stage, kind, short):
    error = NetworkError(kind, "X", "it broke")
    assert of_network(stage, error, dot_sent=True) == Verdict(Kind.DOUBT, stage, None, None, "it broke", kind, "X")
    verdict = of_network(stage, error, dot_sent=False)
    assert (verdict.kind, verdict.code) == (Kind.LATER, None)
    assert (error_code(verdict), error_text(verdict)) == (short, "it broke")


@pytest.mark.parametrize(
    ("stage", "short", "text", "name"),
    [
        (Stage.GREETING, "EPROTOCOL", "Invalid greeting. response=550 5.1.1 <x>: User unknown", "CONN"),
        (Stage.EHLO, "EPROTOCOL", "550 5.1.1 <x>: User unknown", "EHLO"),
        (Stage.TLS, "ETLS", "550 5.1.1 <x>: User unknown", "STARTTLS"),
        (Stage.AUTH, "EAUTH", "Invalid login: 550 5.1.1 <x>: User unknown", "AUTH"),
        (Stage.MAIL, "EENVELOPE", "Mail command failed: 550 5.1.1 <x>: User unknown", "MAIL FROM"),
        (
            Stage.RCPT,
            "EENVELOPE",
            "Can't send mail - all recipients were rejected: 550 5.1.1 <x>: User unknown",
            "RCPT TO",
        ),
        (Stage.DATA, "EMESSAGE", "Message failed: 550 5.1.1 <x>: User unknown", "DATA"),
        (Stage.DOT, "EMESSAGE", "Message failed: 550 5.1.1 <x>: User unknown", "DATA"),
    ],
)
def test_words(stage, short, text, name):
    verdict = of_reply(stage, Reply(550, ("5.1.1 <x>: User unknown",)))
    assert (error_code(verdict), error_text(verdict), command(verdict)) == (short, text, name)


def test_a_violation_has_the_code_of_its_stage():
    verdict = of_network(Stage.MAIL, ProtocolError("nonsense"), dot_sent=False)
    assert (verdict.kind, verdict.network, error_code(verdict)) == (Kind.LATER, None, "EENVELOPE")
