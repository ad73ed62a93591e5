"""Reads bounces in prose: which recipients a notice names, their outcome, and why.

This is for notices without a machine-readable part, or with one that names no recipient. It reads the output of
`notice_text` and returns the same `DeliveryReport` as `dsn`. A recipient is an address in a place where mail systems
put one: after `RCPT TO:` or "recipient", at the beginning of a line, or on a line with a reply code; never the sender
or the system itself. The text between one recipient and the next describes the first.

It never raises and reads bounded text. For what is not a notice of failure or delay, the report has no recipients.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec

from engine.mail.dsn import DeliveryReport, RecipientStatus, message_id, read_delivery_status
from engine.mail.notice_text import Notice

RECIPIENTS = 100
_ADDRESS = re.compile(
    r"(?<![\w.+=/-])[\w!#$%&'*+/=?^`{|}~.-]{1,64}@[A-Za-z0-9](?:[\w-]{0,62}\.){0,8}[\w-]{1,63}(?![\w@])"
)
_STATUS = re.compile(r"(?<![\d.])[245]\.\d{1,3}\.\d{1,3}(?![\d.])")
_CODE = re.compile(r"(?<![\d.:\-/#\w])[45]\d\d(?=[\s\-,;]|$)(?!\s*(?:am|pm|bytes|days?|hours?))")
_SYSTEM = re.compile(
    r"(?:mailer[-_.]?daemon|po+st-?master|mail\.?delivery\.?\w*|abuse|support|no-?reply|help\w*)@", re.IGNORECASE
)

# Text before an address, or an address itself, that rules out a recipient.
_NOT_A_RECIPIENT = re.compile(
    r"(?:\bfrom|sender|sender address|return-path|reply-to|message[- ]?id|references|in-reply-to|contact|\bby|\bcc"
    r"|identifier(?: was| is)?|mailto|visit|https?://\S*)\W{0,4}(?:rfc822\W{0,3})?$",
    re.IGNORECASE,
)
_A_RECIPIENT = re.compile(
    r"(?:rcpt to|recipients?(?: address)?(?:\(s\))?|address(?:\(?es\)?)?|users?|\bfor|delivery failed"
    r"|(?:deliver(?:y|ed|ing)?|addressed|sent|send|message|mail)(?: \w+){0,4} to|did not reach.{0,40})"
    r"\W{0,12}(?:rfc822\W{0,3})?$",
    re.IGNORECASE,
)
_FAILURE = re.compile(
    r"undeliver|fail(?:ed|ure)|reject|bounced?\b|returned (?:mail|message|to sender)|permanent (?:fatal )?errors?"
    r"|not (?:be |been )?(?:deliver|accepted)|(?:n['’]t|not|unable to|trouble) (?:be |able to )?(?:deliver|sen[dt]"
    r"|reach)"
    r"|(?:delivery|message|sending)\W+(?:\w+ ){0,6}?(?:error|aborted|unsuccessful|problem)|error (?:while |has )?\w+ing"
    r"|unknown user|user unknown|(?:following|affected)(?: \w+){0,4} (?:address|recipient)|recipients were affected"
    r"|delivery errors|error has occurred|aborted after"
    r"|non remis|n['’]a pas pu|unzustellbar|nicht zugestellt|no se (?:ha )?pudo|consegn|não (?:foi|pôde)"
    r"|no se ha podido|no (?:ha sido )?entregad|impossibile (?:recapitar|inviar)|mancat[oa] (?:recapito|invio)"
    r"|non (?:è stato )?recapitat"
    r"|niet (?:worden )?(?:bezorgd|afgeleverd)|onbestelbaar|nie (?:można|udało się|mogła?) .{0,20}dostarcz|niedostarcz"
    r"|(?:kunde|kan) inte levereras|kunne ikke (?:af)?leveres|ei voitu toimittaa|nelze doručit|nedoručiteln"
    r"|(?:teslim|iletil)\w* edilemedi|iletilemedi|не может быть доставлен|не доставлен|недоставлен|не вдалося доставити"
    r"|(?:送信|配信|配送)(?:することが)?できません|エラー|失敗|无法(?:送达|投递|发送)|無法(?:傳遞|送達|投遞)|退信|投递失败"
    r"|전송(?:하지 못|할 수 없|에 실패)|배달(?:되지 않|할 수 없)",
    re.IGNORECASE,
)
_DELAY = re.compile(
    r"warning message only|has (?:not yet|been delayed|not been delivered yet)|not yet been delivered|will be retried"
    r"|will (?:keep|continue)(?: to)? try|still (?:being retried|trying)|delivery attempts will continue|is delayed"
    r"|(?:delivery|message) (?:\w+ ){0,3}delayed|no action is required|\(delay\)|delayed mail|^warning:",
    re.IGNORECASE | re.MULTILINE,
)
_DSN_FIELDS = re.compile(
    r"^(?:(?:final|original)-recipient|action|reporting-mta|status|diagnostic-code)\s*:", re.IGNORECASE | re.MULTILINE
)
_NOTHING = re.compile(r"[\s<>\"'*|:(\[-]*")
_PERMANENT = re.compile(r"permanent|giving up|given up", re.IGNORECASE)
_LOWERED = 3
"""How much lower an address of the account or of a mail system is rated."""


class _Found(msgspec.Struct):
    """One mention of an address: its place, and how surely it is a recipient (0 to 5)."""

    address: str
    line: int
    weight: int


def read_prose(notice: Notice, own: frozenset[str], sure: bool) -> DeliveryReport:
    """Read a notice.

    `own` are the account's addresses, in lower case: bounces of its mail are rarely about them. `sure`: the header
    shows that the message is a notice; otherwise an address counts only in an unmistakable place.
    """
    said = f"{_one(notice.header, 'subject')}\n{notice.text}"
    report = DeliveryReport(
        envelope_id="",
        reporting_mta="",
        recipients=(),
        message_id=message_id(notice.original),
        headers=notice.original,
    )
    if not _FAILURE.search(said) and not _DELAY.search(said) and not _CODE.search(said):
        return report
    if not sure and not notice.original and not _CODE.search(notice.text) and not _STATUS.search(notice.text):
        # A digest of quarantined mail names addresses too, so it counts as a bounce only with a server's refusal or
        # with the original.
        return report
    if (fields := _DSN_FIELDS.search(notice.text)) is not None:
        machine = read_delivery_status(notice.text[fields.start() :].encode(), b"")
        if any("@" in each.recipient for each in machine.recipients):
            return msgspec.structs.replace(report, recipients=machine.recipients, reporting_mta=machine.reporting_mta)
    action = "delayed" if _DELAY.search(said) and not _PERMANENT.search(said) else "failed"
    lines = notice.text.split("\n")
    found = _recipients(lines, notice, own, sure)
    recipients = tuple(_status(each, found, lines, action) for each in found[:RECIPIENTS])
    return msgspec.structs.replace(report, recipients=recipients)


def _recipients(lines: list[str], notice: Notice, own: frozenset[str], sure: bool) -> list[_Found]:
    """The recipients in order of mention, each once."""
    best: dict[str, _Found] = {}
    for each in (each for number, line in enumerate(lines) for each in _mentions(number, line)):
        key = each.address.lower()
        if key in own or _SYSTEM.match(each.address):
            each.weight -= _LOWERED
        if key not in best:
            best[key] = each
        elif each.weight > best[key].weight:
            best[key].weight = each.weight
    told = [each for value in notice.header.get("x-failed-recipients", []) for each in _ADDRESS.findall(value)]
    if told:
        return [best.get(each.lower()) or _Found(each, 0, 5) for each in dict.fromkeys(told)]
    addressed = {each.lower(): each for value in notice.original.get("to", []) for each in _ADDRESS.findall(value)}
    chosen = _at_least(best, 4) or _at_least(best, 3) or [each for key, each in best.items() if key in addressed]
    if sure and not chosen and len(addressed) == 1:
        return [_Found(each, 0, 5) for each in addressed.values()]
    return chosen or (_at_least(best, 1) if sure else [])


def _at_least(best: dict[str, _Found], weight: int) -> list[_Found]:
    return [each for each in best.values() if each.weight >= weight]


def _mentions(number: int, line: str) -> list[_Found]:
    found = []
    for match in _ADDRESS.finditer(line):
        before = line[max(0, match.start() - 80) : match.start()]
        if _NOT_A_RECIPIENT.search(before):
            continue
        if _A_RECIPIENT.search(before):
            weight = 5
        elif _NOTHING.fullmatch(line, 0, match.start()):
            weight = 4
        elif _CODE.search(line) or _STATUS.search(line):
            weight = 3
        else:
            weight = 2
        found.append(_Found(match[0].rstrip("."), number, weight))
    return found


def _status(one: _Found, found: list[_Found], lines: list[str], action: str) -> RecipientStatus:
    following = min((each.line for each in found if each.line > one.line), default=len(lines))
    about = _joined(lines, range(one.line, following))
    if not (_CODE.search(about) or _STATUS.search(about)):
        # The reason comes after all recipients, or before them.
        first, last = min(each.line for each in found), max(each.line for each in found)
        others = (*range(last + 1, len(lines)), *range(first))
        about = _joined(lines, dict.fromkeys((*range(one.line, following), *others)))
    status, code = _STATUS.search(about), _CODE.search(about)
    shown = about[code.start() :] if code is not None else about
    return RecipientStatus(
        recipient=one.address,
        original="",
        action=action,
        status=status[0] if status else "",
        source="smtp" if code is not None else "",
        diagnostic=shown[:1000].strip(),
        remote_mta="",
    )


def _joined(lines: list[str], numbers: Iterable[int]) -> str:
    return " ".join(line for line in (lines[number].strip() for number in numbers) if line)


def _one(header: dict[str, list[str]], name: str) -> str:
    return (header.get(name) or [""])[0]
