"""Feed the IMAP client what no server should say: it must make values of it, and soon.

Each input is a server's side of a dialogue, changed at random places or made up from the grammar, in pieces of random
size, behind a random command; what the parser makes of it is read as far as the engine would read it: messages to the
members of an event, folder lists, positions, reports of bounces and complaints. Some inputs are a whole dialogue in
good order with damaged lines between that nobody needs, which must be understood as if these were not there. A finding
is anything but a value or a `ProtocolError` about what may end a connection (`ENDS`), two mailboxes with one path, a
second of CPU for one input, or memory that grows: it is printed with the arguments that repeat it, and the exit code is
1.
"""

from __future__ import annotations

import argparse
import random
import re
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import msgspec  # noqa: E402

from engine.accounts.message_summary import TextParts, summary  # noqa: E402
from engine.errors import ProtocolError  # noqa: E402
from engine.imap import commands  # noqa: E402
from engine.imap.fetched import read_fetch  # noqa: E402
from engine.imap.mailboxes import mailboxes  # noqa: E402
from engine.imap.protocol import Protocol, ProtocolState  # noqa: E402
from engine.imap.responses import ESearch, Fetch, ListEntry, Search, Vanished  # noqa: E402
from engine.imap.uid_sets import expanded  # noqa: E402
from engine.mail.arf import read_feedback  # noqa: E402
from engine.mail.decode import body_text, header_text  # noqa: E402
from engine.mail.dsn import read_delivery_status  # noqa: E402
from engine.mail.header_reading import fields  # noqa: E402
from engine.sasl import Credentials, mechanisms  # noqa: E402

SECONDS_EACH = 1.0
GROWTH_MIB = 200
MINUTE = 60.0

_BODY = (
    b'(("text" "plain" ("charset" "utf-8" "name*0*" "utf-8\'\'a%20") NIL NIL "quoted-printable" 11 1 NIL NIL NIL NIL)'
    b'("message" "rfc822" NIL "<c>" NIL "7bit" 300 ("d" "s" NIL NIL NIL NIL NIL NIL NIL NIL) ("text" "plain" NIL NIL'
    b' NIL "7bit" 3 1) 9)("application" "pdf" ("name" "=?utf-8?b?w6k=?=") NIL NIL "base64" 9000 NIL ("attachment"'
    b' ("filename" "a.pdf")) NIL NIL) "mixed" ("boundary" "y") NIL NIL NIL)'
)
_ENVELOPE = (
    b'("Wed, 17 Jul 1996 02:23:25 -0700" "=?utf-8?q?H=C3=A9?= =?x?b?/w==?=" (("Terry" NIL "gray" "cac.example")) NIL'
    b' (("" NIL "reply" "cac.example")) ((NIL NIL "team" NIL) (NIL NIL "imap" "cac.example") (NIL NIL NIL NIL)) NIL NIL'
    b' "<p@x>" "<B27397@cac.example>")'
)
SAID = [
    b"* OK [CAPABILITY IMAP4rev1 LITERAL+ SASL-IR ID ENABLE IDLE UTF8=ACCEPT QRESYNC] ready\r\n",
    b"* CAPABILITY IMAP4rev1 IDLE CONDSTORE QRESYNC AUTH=PLAIN AUTH=SCRAM-SHA-256 X-GM-EXT-1\r\n",
    b'* 1 FETCH (UID 17 FLAGS (\\Seen $x) MODSEQ (9) RFC822.SIZE 10 INTERNALDATE "17-Jul-1996 02:44:25 -0700" ENVELOPE '
    + _ENVELOPE
    + b" BODYSTRUCTURE "
    + _BODY
    + b" BODY[HEADER.FIELDS (A)] {42}\r\nAuto-Submitted: auto-replied; x\r\nPrecedence:)\r\n",
    b'* 2 FETCH (UID 18 X-GM-MSGID 1278455344230334865 X-GM-THRID 9 X-GM-LABELS (\\Inbox "a b") '
    b"BODY[1]<0> ~{3}\r\nabc)\r\n",
    b"* 3 FETCH (FLAGS (\\Deleted))\r\n* 3 EXPUNGE\r\n* 5 EXISTS\r\n* 0 RECENT\r\n",
    b"* VANISHED (EARLIER) 1:5,7,9:4294967295\r\n",
    b'* ESEARCH (TAG "A1") UID ALL 1:5,9 COUNT 3 MODSEQ 9\r\n* SEARCH 1 2 3 (MODSEQ 9)\r\n',
    b'* STATUS "x" (MESSAGES 1 UIDNEXT 2 UIDVALIDITY 3 HIGHESTMODSEQ 4)\r\n',
    b'* LIST (\\HasNoChildren \\Sent) "/" {4}\r\nSent\r\n* LIST () "." "&AOk-t&AOk-"\r\n',
    b"* LIST (\\NonExistent) NIL x\r\n",
    b"* FLAGS (\\Answered \\*)\r\n* OK [PERMANENTFLAGS (\\*)] x\r\n* OK [UIDVALIDITY 3] x\r\n* OK [UIDNEXT 4] x\r\n",
    b"* OK [HIGHESTMODSEQ 9] x\r\n* OK [CLOSED] x\r\n* OK [COPYUID 1 2:3 4:5] x\r\n* OK [APPENDUID 1 2] x\r\n",
    b'* NAMESPACE (("" "/")) (("~" "/")) NIL\r\n* ID ("name" "x" "v" NIL)\r\n* ENABLED UTF8=ACCEPT QRESYNC\r\n',
    b"A1 OK [READ-WRITE] done\r\n",
    b"A1 NO [AUTHENTICATIONFAILED] no\r\nA1 BAD what\r\n* BYE gone\r\n",
    b"+ idling\r\n",
    b"+ cj1hYWFhYSxzPVFTWENSK1E2c2VrOGJmOTIsaT00MDk2\r\n",
]
REPORTS = [
    b"Reporting-MTA: dns; mx.example\r\nOriginal-Envelope-Id: q+3D1\r\nArrival-Date: x\r\n\r\n"
    b"Final-Recipient: rfc822; a@b\r\nOriginal-Recipient: rfc822;c@d\r\nAction: failed\r\nStatus: 5.1.1\r\n"
    b"Diagnostic-Code: smtp; 550 5.1.1 =?x?q?no?=\r\n",
    b"Feedback-Type: abuse\r\nUser-Agent: x/1\r\nVersion: 1\r\nOriginal-Mail-From: <a@b>\r\n"
    b"Original-Rcpt-To: <c@d>\r\nSource-IP: 192.0.2.1\r\nArrival-Date: Thu, 8 Mar 2005 14:00:00 EDT\r\n",
    b"Message-ID: <a@b>\r\nFrom: =?utf-8?b?w6k?= <a@b>\r\nTo: x,\r\n y\r\nSubject: s\r\nReferences: <1> <2>\r\n",
]
BITS = (
    (
        '( ) (( )) [ ] < > {9}| {0}| {99999999999}| ~{3}|abc {3+}|abc " \\ | || NIL nil BODY[ ]<0> 4294967296 '
        "18446744073709551616 0 1:* * , : ; = & &- =?utf-8?q? ?= \0 \xff \x80 \r \n % + - A1 FETCH UID OK"
    )
    .replace("|", "\r\n")
    .split(" ")
)
HOSTILE = [
    b"(" * 4000,
    b"[" * 4000,
    b"{4194305}\r\n",
    b"9" * 5000,
    b"1:4294967295," * 300,
    b'"' + b"\\" * 3000,
    b" NIL" * 3000,
    b"\r\n" * 500,
    b"=?utf-8?b?" * 300,
    b"&" * 2000,
]
ENDS = re.compile(
    "more than|more updates than|announced a literal|greeting is not that of|after its reply to|before it was complete|"
    "named more than"
)
"""What a `ProtocolError` may be about: limits, and what would be dangerous to go on with."""
NEEDED: list[tuple[Callable[[], commands.Command], list[bytes]]] = [
    (lambda: commands.list_mailboxes(special_use=False), [b'* LIST () "/" {5}\r\nINBOX\r\n', b"A1 OK\r\n"]),
    (lambda: commands.status(b"x", ["UIDNEXT"]), [b'* STATUS "x" (UIDNEXT 7)\r\n', b"A2 OK\r\n"]),
    (lambda: commands.select(b"x"), [b"* 3 EXISTS\r\n", b"* OK [UIDNEXT 8] x\r\n", b"A3 OK [READ-WRITE] x\r\n"]),
    (lambda: commands.uid_search([b"ALL"]), [b"* SEARCH 5 6 7\r\n", b"A4 OK\r\n"]),
    (lambda: commands.uid_fetch("1:*", ["FLAGS"]), [SAID[2], SAID[3], b"A5 OK\r\n"]),
    (commands.noop, [b"* 4 EXISTS\r\n", b"* 2 EXPUNGE\r\n", b"A6 OK\r\n"]),
]
"""Commands and answers in good order, as few as may be."""
Finding = tuple[str, str]


class _Slow(Exception):
    """One input takes longer than any may."""


def changed(rng: random.Random, data: bytes) -> bytes:
    """`data` with up to a dozen changes."""
    text = bytearray(data)
    for _ in range(rng.choice((0, 1, 1, 2, 3, 5, 12))):
        place, dice = rng.randrange(len(text) + 1), rng.random()
        if dice < 0.4:
            text[place:place] = rng.choice(BITS).encode("latin-1")
        elif dice < 0.65:
            del text[place : place + rng.randrange(1, 9)]
        elif dice < 0.8 and place < len(text):
            text[place] = rng.randrange(256)
        elif dice < 0.95:
            start = rng.randrange(len(text) + 1)
            text[place:place] = text[start : start + rng.randrange(1, 60)]
        else:
            text[place:place] = rng.choice(HOSTILE)
    return bytes(text)


def made_up(rng: random.Random, depth: int = 0) -> bytes:
    """A value of IMAP's grammar."""
    dice = rng.random()
    if dice < 0.3 and depth < 6:
        return b"(" + b" ".join(made_up(rng, depth + 1) for _ in range(rng.randrange(0, 12))) + b")"
    octets = rng.randbytes(rng.randrange(0, 9))
    if dice < 0.5:
        return b"{%d}\r\n" % len(octets) + octets
    if dice < 0.7:
        return b'"' + re.sub(rb'[\r\n"\\\0]', b"", octets) + b'"'
    if dice < 0.85:
        return b"%d" % rng.getrandbits(rng.choice((1, 8, 32, 63, 64, 65)))
    return rng.choice((b"NIL", b"\\Seen", b"text", b"$Junk", b"BODY[1.2]", b"=?utf-8?q?=C3?=", b"7bit"))


ITEMS = (
    b"FLAGS",
    b"ENVELOPE",
    b"BODYSTRUCTURE",
    b"INTERNALDATE",
    b"MODSEQ",
    b"RFC822.SIZE",
    b"X-GM-LABELS",
    b"BODY[1]",
)


def dialogue(rng: random.Random) -> bytes:
    """What a server says in one go."""
    if rng.random() < 0.25:
        items = b" ".join(item + b" " + made_up(rng) for item in rng.sample(ITEMS, rng.randrange(1, 6)))
        said = b"* %d FETCH (UID %d %b)\r\n" % (rng.randrange(9), rng.randrange(1, 99), items)
    else:
        said = b"".join(rng.choice(SAID) for _ in range(rng.randrange(1, 6)))
    return changed(rng, said)


def started(rng: random.Random) -> Protocol:
    """A connection in some state with some command under way."""
    protocol = Protocol()
    if rng.random() < 0.1:
        return protocol
    greeting = b"* PREAUTH" if rng.random() < 0.85 else b"* OK"
    protocol.receive(greeting + b" [CAPABILITY IMAP4rev1 LITERAL+] hello\r\n")
    mechanism = mechanisms(
        [rng.choice(("SCRAM-SHA-256", "PLAIN", "LOGIN", "CRAM-MD5"))],
        Credentials(user="user", password="password", access_token=None),
        nonce="a" * 18,
    )[0]
    before_login: list[Callable[[], commands.Command]] = [
        lambda: commands.login("user", "password"),
        commands.start_tls,
        lambda: commands.authenticate(mechanism, at_once=rng.random() < 0.5),
    ]
    after: list[Callable[[], commands.Command]] = [
        commands.noop,
        commands.capability,
        commands.namespace,
        commands.compress,
        lambda: commands.enable(["QRESYNC", "UTF8=ACCEPT"]),
        lambda: commands.select(b"x", known=(1, 2)),
        lambda: commands.list_mailboxes(special_use=True, status=("UIDNEXT",)),
        lambda: commands.status(b"x", ["MESSAGES"]),
        lambda: commands.append(b"x", [], None, [b"From: a\r\n\r\nb\r\n"]),
    ]
    selected: list[Callable[[], commands.Command]] = [
        lambda: commands.uid_fetch("1:*", ["FLAGS"]),
        lambda: commands.uid_search([b"ALL"], wanted="ALL"),
        lambda: commands.expunge("1:2"),
        commands.idle,
    ]
    if protocol.state is ProtocolState.NOT_AUTHENTICATED:
        protocol.start(rng.choice(before_login)())
        return protocol
    if rng.random() < 0.5:
        protocol.start(commands.select(b"x"))
        protocol.receive(b"* 3 EXISTS\r\nA1 OK [READ-WRITE] done\r\n")
        after = selected + after
    protocol.start(rng.choice(after)())
    return protocol


def read(protocol: Protocol) -> str:
    """Everything the engine would read of what came."""
    told = [*protocol.take_news(), *(protocol.completion.data if protocol.completion is not None else ())]
    for response in told:
        if isinstance(response, Fetch) and (one := read_fetch(response)) is not None:
            msgspec.json.encode(summary(one, 1, "INBOX", None))
            for part in TextParts(one.structure).plain:
                body_text(one.sections.get(part.path, b""), part.encoding, "utf-8")
        elif isinstance(response, Vanished | ESearch):
            expanded(response.ranges)
        elif isinstance(response, Search):
            expanded((number, number) for number in response.numbers)
    listed = mailboxes([each for each in told if isinstance(each, ListEntry)], utf8=protocol.utf8).values()
    paths = [each.path.encode() for each in listed]
    if len(set(paths)) < len(paths):
        raise ValueError("two mailboxes have one path")
    protocol.take_outgoing()
    return f"{protocol.state}, {len(told)} read" if told else str(protocol.state)


def one_dialogue(rng: random.Random) -> str:
    protocol, data = started(rng), dialogue(rng)
    most, place = rng.choice((1, 7, 200, 70_000)), 0
    while place < len(data):
        step = rng.randint(1, most)
        protocol.receive(data[place : place + step])
        place += step
    return read(protocol)


def unneeded(rng: random.Random) -> bytes:
    """Something between two responses that says nothing to anybody."""
    line = changed(rng, rng.choice(SAID)).replace(b"\n", b"")[:3000].rstrip(b"}\r")
    dice = rng.random()
    if dice < 0.3:
        return b""
    if dice < 0.7:
        return b"* X-" + line + rng.choice((b"\r\n", b"\n"))
    if dice < 0.9:
        literal = rng.randbytes(rng.randrange(20))
        return b"* X-" + line + b" {%d}\r\n" % len(literal) + literal + line.replace(b"{", b"") + b"\r\n"
    return b"Z9 " + line + b"\r\n"


def understood(rng: random.Random | None) -> str:
    """What is made of the answers that are needed, with something unneeded before each unless `rng` is None."""
    protocol = Protocol()
    protocol.receive(b"* PREAUTH [CAPABILITY IMAP4rev1] hello\r\n")
    told: list[object] = []
    for command, answer in NEEDED:
        protocol.start(command())
        for response in answer:
            protocol.receive(response if rng is None else unneeded(rng) + response)
        told += [protocol.completion, *protocol.take_news()]
    return repr(told)


def one_interruption(rng: random.Random) -> str:
    if understood(rng) != understood(None):
        raise ValueError("a response nobody needs has changed what is understood of the others")
    return "understood"


def one_report(rng: random.Random) -> str:
    status, original = changed(rng, rng.choice(REPORTS)), changed(rng, REPORTS[2])
    delivery, feedback = read_delivery_status(status, original), read_feedback(status, original)
    msgspec.json.encode([msgspec.to_builtins(delivery), msgspec.to_builtins(feedback)])
    for values in fields(original).values():
        for value in values:
            header_text(value.encode("latin-1", "replace"))
    return f"{len(delivery.recipients)} recipients"


def tried(seed: int, number: int) -> tuple[str, Finding | None]:
    """Run input `number`: what came of it, and what is wrong with that."""
    rng = random.Random(f"{seed}:{number}")
    signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS_EACH)
    try:
        dice = rng.random()
        kind = one_report if dice < 0.1 else one_interruption if dice < 0.2 else one_dialogue
        return kind(rng), None
    except ProtocolError as error:
        if not ENDS.search(str(error)):
            return "finding", (str(error), traceback.format_exc())
        return f"refused: {re.sub('[0-9]+', 'N', str(error))[:50]}", None
    except Exception as error:  # noqa: BLE001 - whatever else it is, it is what is looked for
        return "finding", (type(error).__name__, traceback.format_exc())
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)


def resident() -> int:
    """Resident memory in MiB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4 // 1024


def run(minutes: float, seed: int, start: int) -> int:
    until, next_word = time.monotonic() + minutes * 60, time.monotonic() + MINUTE
    outcomes: Counter[str] = Counter()
    findings: dict[str, int] = {}
    number, memory = start, 0
    while time.monotonic() < until:
        outcome, finding = tried(seed, number)
        outcomes[outcome] += 1
        if finding is not None and findings.setdefault(finding[1][-200:], number) == number:
            print(f"FOUND {finding[0]}; repeat it with --seed {seed} --only {number}\n{finding[1]}", flush=True)
        number += 1
        if number == start + 20_000:
            memory = resident()
        if time.monotonic() >= next_word:
            next_word += MINUTE
            print(f"{number - start} inputs, {len(findings)} findings, {resident()} MiB", flush=True)
    grown = resident() - memory if memory else 0
    print(f"{number - start} inputs from --seed {seed}, {len(outcomes)} kinds of outcome, memory grew by {grown} MiB")
    for outcome, count in outcomes.most_common(8):
        print(f"{count:12} {outcome}")
    if grown > GROWTH_MIB:
        print("FOUND memory that grows")
    print(f"{len(findings)} findings")
    return 1 if findings or grown > GROWTH_MIB else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=60.0, help="how long (default: 60)")
    parser.add_argument("--seed", type=int, default=1, help="another seed makes other inputs (default: 1)")
    parser.add_argument("--start", type=int, default=0, metavar="N", help="begin with input N")
    parser.add_argument("--only", type=int, metavar="N", help="input N alone")
    options = parser.parse_args()

    def slow(*_: object) -> None:
        raise _Slow(f"still at it after {SECONDS_EACH:g} s of CPU")

    signal.signal(signal.SIGVTALRM, slow)
    if options.only is not None:
        outcome, finding = tried(options.seed, options.only)
        print(finding[1] if finding is not None else outcome)
        return 0 if finding is None else 1
    return run(options.minutes, options.seed, options.start)


if __name__ == "__main__":
    sys.exit(main())
