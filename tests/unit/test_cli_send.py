"""`engine send`: what it asks the engine for, and what it shows of the answer."""

from __future__ import annotations

from typing import Any

import pytest

from engine import cli
from engine.commands.client import Client

SEND = ("send", "acme", "--to", "a@b.example", "--text", "Hi")
QUEUED = {"queueId": "q1", "messageId": "<1@x>", "sendAt": "2026-11-28T00:00:00.000Z"}


class Answers:
    """An engine that answers as told. `asked`: the paths and bodies of requests."""

    def __init__(self, patch: pytest.MonkeyPatch, answer: dict[str, Any]) -> None:
        self.asked: list[tuple[str, Any]] = []
        self._answer = answer
        patch.setattr(Client, "__init__", lambda client, options: None)
        patch.setattr(Client, "ask", lambda client, method, path, body, headers: self._ask(path, body))

    def _ask(self, path: str, body: Any) -> Any:
        self.asked.append((path, body))
        return self._answer


def check(severity: str) -> dict[str, str]:
    return {"code": "spfMissing", "severity": severity, "message": "no record"}


@pytest.mark.parametrize(("severity", "code"), [("error", 1), ("warning", 0)])
def test_a_dry_run_shows_the_checks(
    severity: str, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    engine = Answers(monkeypatch, {"response": "Dry run", "checks": [check(severity)], "preview": ""})
    assert cli.main((*SEND, "--dry-run")) == code
    ((path, body),) = engine.asked
    assert (path, body["dryRun"]) == ("/v1/account/acme/submit", True)
    assert f"{severity}" in capsys.readouterr().out


def test_a_check_shows_the_checks_and_sends(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    engine = Answers(monkeypatch, {**QUEUED, "checks": [check("error")]})
    assert cli.main((*SEND, "--check")) == 0
    ((path, body),) = engine.asked
    assert path == "/v1/account/acme/submit?check=1"
    assert "dryRun" not in body
    out = capsys.readouterr().out
    assert "no record" in out
    assert "q1" in out


def test_mail_that_nobody_gets_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    Answers(monkeypatch, {"response": "Skipped", "skipped": {"reason": "bounce"}})
    assert cli.main(SEND) == 1
    assert "nothing was queued: the recipient is suppressed (bounce)" in capsys.readouterr().err
    assert cli.main((*SEND, "--dry-run")) == 1
