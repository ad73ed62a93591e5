"""What the documents tell people to type, typed: each block of shell in README and docs, as it stands.

Stand-ins are used for what comes from the network (packages of Debian and Python). Numbers and ids that a machine makes
up are put in where a document shows those of another one.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from real.certificates import Certificates
from real.documents import FOLLOW, Block, blocks, command, documents, environment_folder, run, source_folder
from real.dovecot import Dovecot
from real.engine_process import REPOSITORY, EngineProcess
from real.machine_copy import MachineCopy
from real.postfix import Postfix
from real.processes import wait_until
from real.servers import HOST, free_ports
from real.test_event_channels import register

pytestmark = [pytest.mark.process, pytest.mark.long]

MINOR = "{}.{}".format(*sys.version_info[:2])
RUN_HERE = (
    "README.md",
    "docs/api.md",
    "docs/commands.md",
    "docs/metrics.md",
    "docs/operate.md",
    "docs/sandbox.md",  # in `test_rehearsal_examples.py`
    "docs/tutorial.md",
    "docs/coming-from-emailengine.md",  # in `test_import_process.py`
)
NOT_RUN = [block for file in documents() for block in blocks(file) if block.reason]


@pytest.mark.parametrize("block", NOT_RUN, ids=lambda block: f"{block.file}:{block.line}")
def test_a_block_that_is_not_run_says_why(block: Block) -> None:
    pytest.skip(f"{block.file}:{block.line}: {block.reason}")


def test_every_block_is_run_or_says_why_not() -> None:
    left = [block for file in documents() if file not in RUN_HERE for block in blocks(file)]
    assert not [f"{block.file}:{block.line}" for block in left if not block.reason]


def environment(home: Path, **more: str) -> dict[str, str]:
    """That of a new user: nothing of the engine in it, and a curl that fails where the answer is an error."""
    home.mkdir(exist_ok=True)
    (home / ".curlrc").write_text("fail-with-body\nsilent\nshow-error\n")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ENGINE_")}
    return {**kept, "HOME": str(home), "PYTHONPATH": str(REPOSITORY), **more}


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A folder like a fresh clone, in which the quickstart finds its environment made."""
    folder = tmp_path / "mailbox-engine"
    source_folder(folder)
    environment_folder(folder / f".venv-{MINOR}")
    (tmp_path / "bin").mkdir()
    command(tmp_path / "bin" / "python3", f'exec {os.path.realpath(sys.executable)} "$@"')
    script = 'STEPS=0; source scripts/lib.sh; find_python >&2; what_it_is_made_from | sha256sum | cut -d" " -f1'
    path = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
    stamp = run(script.replace(">&2", ">/dev/null"), folder, {**os.environ, "PATH": path})
    (folder / f".venv-{MINOR}" / "stamp").write_text(f"{stamp.strip()} \n")
    return folder


LAST = "What the engine promises: docs/design.md."
"""What the quickstart prints last before it follows the events."""


@pytest.fixture
def quickstart(
    clone: Path, tmp_path: Path, certificates: Certificates
) -> Iterator[tuple[subprocess.Popen[bytes], dict[str, str], str]]:
    (port,) = free_ports(1)
    path = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
    (tmp_path / "authority.pem").write_text(certificates.ca_pem)
    home = environment(
        tmp_path / "home", PATH=path, ENGINE_HTTP__PORT=str(port), SSL_CERT_FILE=str(tmp_path / "authority.pem")
    )
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(["scripts/quickstart"], cwd=clone, env=home, stdout=log, stderr=log)
    try:
        wait_until(lambda: process.poll() is not None or LAST in (tmp_path / "log").read_text(), "the quickstart")
        yield process, home, str(port)
    finally:
        process.terminate()
        process.wait()


def test_readme_from_clone_to_what_became_of_the_mail(
    clone: Path, tmp_path: Path, quickstart: tuple[subprocess.Popen[bytes], dict[str, str], str]
) -> None:
    process, home, port = quickstart
    said = (tmp_path / "log").read_text()
    assert process.poll() is None, said
    assert "is up to date" in said and "pip" not in said
    first, *others = [block for block in blocks("README.md") if not block.reason]
    assert first.text.startswith("scripts/quickstart ")
    script = "".join(block.text for block in others).replace("127.0.0.1:3000", f"127.0.0.1:{port}")
    del home["ENGINE_HTTP__PORT"]  # that terminal knows nothing of it
    heard = run(FOLLOW + script, clone, home)
    assert '"queueId"' in heard and '"event":"messageSent"' in heard and '"serviceSecret":"whsec_' in heard
    shown = re.search(r"^.*another terminal:\n\n(.*?)\n\n", said, re.MULTILINE | re.DOTALL)
    assert shown, said
    assert '"event":"messageFailed"' not in heard
    run(shown[1], clone, home)
    assert "Traceback" not in said


def test_the_tutorial_to_a_real_mailbox(
    clone: Path,
    quickstart: tuple[subprocess.Popen[bytes], dict[str, str], str],
    dovecot: Dovecot,
    postfix: Postfix,
) -> None:
    _, home, port = quickstart
    del home["ENGINE_HTTP__PORT"], home["SSL_CERT_FILE"]
    login, password = dovecot.user()
    (receiver,) = free_ports(1)
    servers = f"--imap {dovecot.host}:{dovecot.port} --smtp {postfix.host}:{postfix.port} --password-file secret"
    (clone / "secret").write_text(password)
    script = "".join(block.text for block in blocks("docs/tutorial.md") if not block.reason)
    for here, there in (
        ("127.0.0.1:3000", f"127.0.0.1:{port}"),
        ("127.0.0.1:8000", f"127.0.0.1:{receiver}"),
        ("receiver.py 8000", f"receiver.py {receiver}"),
        ("add me --email jane@example.com", f"add me --email {login} {servers}"),
        ("jane@example.com", login),
        ('"$engine" events tail', f"until_it_speaks {clone}/.venv-{MINOR}/bin/engine events tail"),
    ):
        assert here in script, here
        script = script.replace(here, there)
    heard = run(FOLLOW + script, clone, home)
    assert '"event":"messageSent"' in heard
    assert '"event": "messageSent", "account": "shop"' in (clone / "received.txt").read_text()
    dovecot.wait_for_messages(login)


def test_the_quickstart_goes_on_when_nobody_reads(clone: Path, tmp_path: Path) -> None:
    (port,) = free_ports(1)
    path = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
    home = environment(tmp_path / "home", PATH=path, ENGINE_HTTP__PORT=str(port))
    heard = run('scripts/quickstart --once 2>&1 | head -n 1; echo "${PIPESTATUS[0]}"', clone, home)
    assert heard == "[1/8] Python\n0\n"


def test_the_quickstart_looks_at_the_port_first_and_keeps_its_options(clone: Path, tmp_path: Path, engine: Any) -> None:
    home = environment(tmp_path / "home", ENGINE_HTTP__PORT=str(engine.port), ENGINE_STORE__PATH="my data")
    home["ENGINE_STORE__KEY"] = "secret"
    python = str(tmp_path / "bin" / "python3")
    done = subprocess.run(
        ["scripts/quickstart", "--once", "--python", python],
        cwd=clone,
        env=home,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1 and "[2/8]" not in done.stdout
    (advice,) = re.findall(r"choose another port:  (.*)", done.stderr)
    assert re.fullmatch(
        rf"ENGINE_HTTP__PORT=\d+ ENGINE_STORE__PATH=my\\ data scripts/quickstart --once --python {re.escape(python)}",
        advice,
    )
    del home["ENGINE_HTTP__PORT"], home["ENGINE_STORE__PATH"], home["ENGINE_STORE__KEY"]
    (port,) = free_ports(1)
    heard = run(re.sub(r"PORT=\d+", f"PORT={port}", advice), clone, home)
    assert "[8/8] sent: " in heard and (clone / "my data" / "token").exists()


def prelude(engine: EngineProcess) -> str:
    block = blocks("docs/api.md")[0].text
    assert block.startswith("TOKEN=... ")
    return block.replace("TOKEN=... ", f"TOKEN={engine.token} ").replace("http://127.0.0.1:3000", engine.url)


NOT_ALWAYS = {"alreadySent", "idMap", "smtpServer"}
"""Members that the document shows of an answer that is not always so, and says when it is."""


class Documented:
    """An engine in which everything is there that the examples of docs/api.md name, before each of them."""

    def __init__(self, engine: EngineProcess) -> None:
        self._engine = engine
        (port,) = free_ports(1)
        server = {
            "host": HOST,
            "port": port,
            "secure": False,
            "tls": {"required": False},
            "auth": {"user": "u", "pass": "p"},
        }
        engine.request("POST", "/v1/settings", {"serviceUrl": engine.url})
        self._mine: dict[str, Any] = {
            "account": "m",
            "name": "Mine",
            "email": "me@example.org",
            "imap": server,
            "smtp": server,
        }

    @property
    def _mail(self) -> dict[str, Any]:
        file = {"filename": "a.txt", "content": "SGVsbG8="}
        to = {"address": "example@sandbox.example"}
        return {"to": to, "subject": "Hello", "text": "t", "html": "<p>t</p>", "attachments": [file]}

    def _message_ids(self) -> dict[str, str]:
        """The ids of a message that came, by how the examples begin them: its own, its text's, its attachment's."""
        engine, listed, mail = self._engine, "/v1/account/example/messages?path=INBOX", self._mail
        if not engine.request("GET", listed).json["total"]:
            engine.request("POST", "/v1/account/example/submit", mail)
            wait_until(lambda: engine.request("GET", listed).json["total"], "the message")
        (found,) = engine.request("GET", listed).json["messages"]
        ids = (found["id"], found["text"]["id"], found["attachments"][0]["id"])
        return dict(zip((r"(?<=message/)\w+", r"(?<=text/)\w+", r"(?<=attachment/)\w+"), ids, strict=True))

    def made_ready(self, text: str) -> str:
        """The block with the ids of this engine in place of those that the document shows."""
        engine = self._engine
        if engine.request("GET", "/v1/account/example").status == 404:
            register(engine, "example")
            engine.request("PUT", "/v1/events/consumers/billing", {"seq": 1})
        engine.wait_for_state("example", "connected")
        if "/v1/account/example\n" in text and "-X" not in text:  # One that is not connected, as it is shown.
            engine.request("POST", "/v1/account", self._mine)
            engine.wait_for_state("m", "connectError")
            text = text.replace("/v1/account/example", "/v1/account/m")
        if "/quota" in text:
            smtp = {**self._mine["smtp"], "limits": {"preset": "gmail"}}
            made = engine.request("POST", "/v1/account", {**self._mine, "account": "limited", "smtp": smtp})
            assert made.status == 200, made.body
            text = text.replace("/v1/account/example", "/v1/account/limited")
        for shape, real in self._message_ids().items() if "AAAAAQAAAA" in text else ():
            text = re.sub(shape, real, text)
        if (draft := re.search(r"/v1/account/example/message/\w+(?=/submit)", text)) is not None:
            engine.request("PUT", draft[0], {"flags": {"add": ["\\Draft"]}})
        if "/v1/sandbox/messages/" in text:
            engine.request("POST", "/v1/account/example/submit", {**self._mail, "to": "file@sandbox.example"})
            wait_until(lambda: "file@" in str(engine.request("GET", "/v1/sandbox/messages").json), "the caught message")
            listed = engine.request("GET", "/v1/sandbox/messages").json["messages"]
            caught = next(each["id"] for each in listed if each["recipients"] == ["file@sandbox.example"])
            (file,) = engine.request("GET", f"/v1/sandbox/messages/{caught}").json["attachments"]
            text = re.sub(r"messages/\w+", f"messages/{caught}", text)
            text = re.sub(r"(?<=attachments/)\w+", file["id"], text)
        if "/v1/outbox/" in text:
            tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat()
            waits = {"to": {"address": "x@sandbox.example"}, "text": "t", "sendAt": tomorrow}
            answer = engine.request("POST", "/v1/account/example/submit", waits)
            assert answer.status == 200, answer.body
            text = re.sub(r"(?<=outbox/)\w+", answer.json["queueId"], text)
        if "/v1/tokens/" in text:
            token = engine.command("tokens", "list").stdout.split("\n")[1].split()[0]
            if "-X DELETE" in text:
                engine.request("POST", "/v1/tokens", {"description": "to be revoked", "scopes": ["api"]})
                token = engine.request("GET", "/v1/tokens?query=revoked").json["tokens"][0]["id"]
            text = re.sub(r"(?<=tokens/)\w+", token, text)
        if "/v1/oauth2/" in text:
            app = {"name": "x", "provider": "gmail", "clientId": "x", "clientSecret": "x"}
            made = engine.request("POST", "/v1/oauth2", app)
            text = re.sub(r"(?<=oauth2/)\w+", made.json["id"], text)
        if "/oauth-token" in text:
            engine.request("POST", "/v1/settings", {"enableOAuthTokensApi": True})
            signing_in: dict[str, Any] = {
                "name": "x",
                "provider": "gmail",
                "clientId": "x",
                "clientSecret": "x",
                "enabled": True,
            }
            provider = engine.request("POST", "/v1/oauth2", signing_in).json["id"]
            granted = {"accessToken": "x", "refreshToken": "x", "expires": "2099-01-01"}
            signed_in = {"provider": provider, "auth": {"user": "x@gmail.example"}, **granted}
            made = engine.request("POST", "/v1/account", {"account": "signed", "name": "x", "oauth2": signed_in})
            assert made.status == 200, made.body
            text = text.replace("/v1/account/example", "/v1/account/signed")
        if "/v1/blocklist/" in text:
            blocked = {"account": "example", "recipient": "andris@ethereal.email"}
            engine.request("POST", re.search(r"/v1/blocklist/\w+", text)[0], blocked)
        if "/v1/gateway/" in text:
            gateway = {"gateway": "relay", "name": "x", "host": "x.example", "port": 465, "secure": True}
            engine.request("POST", "/v1/gateway", {**gateway, "user": "x", "pass": "x"})
        if "/v1/templates/template/" in text:
            template = {"account": None, "name": "x", "content": {"text": "x"}}
            made = engine.request("POST", "/v1/templates/template", template)
            text = re.sub(r"(?<=templates/template/)\w+", made.json["id"], text)
        if '"Archive"' in text:
            engine.request("POST", "/v1/account/example/mailbox", {"path": "Archive"})
        if "/exp_" in text:
            export = "/v1/account/example/export"
            span = {"startDate": "2020-01-01", "endDate": "2040-01-01"}
            made = engine.request("POST", export, span).json["exportId"]
            wait_until(lambda: engine.request("GET", f"{export}/{made}").json["status"] == "completed", "the export")
            text = re.sub(r"exp_\w+", made, text)
        if "/v1/webhooks/try" in text:
            sent = next(
                each
                for each in engine.request("GET", "/v1/events?limit=1000").json["events"]
                if each["event"] == "messageSent"
            )
            text = re.sub(r'(?<="seq":)\d+', str(sent["seq"]), text)
        if "/wh_" in text:
            made = engine.request("POST", "/v1/webhooks", {"url": "http://127.0.0.1:1/"})
            text = re.sub(r"wh_\w+", made.json["id"], text)
        return text


def test_api_as_it_is_written(start_engine: Callable[..., EngineProcess], tmp_path: Path) -> None:
    engine = start_engine()
    home = {**os.environ, "HOME": str(tmp_path)}
    documented = Documented(engine)
    _, *others = [block for block in blocks("docs/api.md") if not block.reason]
    assert len(others) > 30
    for block in others:
        where = f"{block.file}:{block.line}"
        printed = run(prelude(engine) + documented.made_ready(block.text), tmp_path, home)
        if block.answer is None:  # No JSON.
            continue
        (answer,) = [json.loads(line) for line in printed.splitlines()]
        shown = json.loads(block.answer)
        assert answer.get("statusCode", 200) == shown.get("statusCode", 200), (where, answer)
        assert shown.keys() - NOT_ALWAYS <= answer.keys(), (where, shown.keys() - answer.keys())


def test_commands_as_they_are_written(start_engine: Callable[..., EngineProcess], tmp_path: Path) -> None:
    engine = start_engine()
    environment_folder(tmp_path / "venv")
    path = f"{tmp_path / 'venv' / 'bin'}:{os.environ['PATH']}"
    home = environment(tmp_path / "home", PATH=path)
    for block in blocks("docs/commands.md"):
        if not block.reason:
            assert json.loads(run(block.text, engine.folder.parent, home))["total"] == 0


def test_metrics_as_they_are_written(start_engine: Callable[..., EngineProcess], tmp_path: Path) -> None:
    engine = start_engine()
    environment_folder(tmp_path / "venv")
    home = environment(tmp_path / "home", PATH=f"{tmp_path / 'venv' / 'bin'}:{os.environ['PATH']}")
    (block,) = blocks("docs/metrics.md")
    printed = run(block.text.replace("http://127.0.0.1:3000", engine.url), engine.folder.parent, home)
    assert "mailbox_engine_" in printed and "\nqueue_size" in printed


def test_operate_as_it_is_written(tmp_path: Path) -> None:
    if not MachineCopy.is_possible():
        pytest.skip("a copy of the machine needs root and the right to mount")
    machine = MachineCopy(tmp_path)
    here = [block for block in blocks("docs/operate.md") if not block.reason]
    needs, install, unit, ordinary, *others = here
    assert needs.text.startswith("apt-get") and "useradd" in install.text and "mailbox-engine.service" in unit.text
    assert "engine serve" in ordinary.text
    later = "".join(f"echo '## {block.file}:{block.line}'\n{block.text}" for block in others)
    later = re.sub(r"(?<= )wh_\w+", '"$ENDPOINT"', later).replace("--after 4711", "--after 3")
    later = re.sub(r"(?<=revoke )\w+", '"$VISITOR"', re.sub(r"(?<=--token )\w+", '"$ID"', later))
    script = f"""{needs.text}{install.text}
[ "$(stat -c %U:%a /var/lib/mailbox-engine/journal.db)" = mailbox-engine:600 ]
[ -z "$(find /var/lib/mailbox-engine ! -user mailbox-engine)" ]
[ "$(stat -c %U:%G:%a /etc/mailbox-engine.toml)" = root:mailbox-engine:640 ]
{unit.text}
if command -v systemd-analyze >/dev/null; then
    systemd-analyze verify --man=no /etc/systemd/system/mailbox-engine.service
fi
cd /
start=$(sed -n 's/^ExecStart=//p' /etc/systemd/system/mailbox-engine.service)
setpriv --reuid mailbox-engine --regid mailbox-engine --init-groups $start & service=$!
until curl -sf http://127.0.0.1:3000/health; do kill -0 $service; sleep 0.1; done
TOKEN=$(engine tokens issue -q -d test -s "*")
api() {{ curl -sS --fail-with-body -H "Authorization: Bearer $TOKEN" -H "Content-Type: application/json" "$@"; }}
URL=http://127.0.0.1:3000
for each in example jane; do
    api $URL/v1/account -d '{{"account":"'$each'","name":"E","email":"'$each'@sandbox.example","sandbox":true}}'
    api "$URL/v1/account/$each?wait=connected"
done
member() {{ sed -n "s/.*\\"$1\\":\\"\\([^\\"]*\\)\\".*/\\1/p"; }}
ENDPOINT=$(api $URL/v1/webhooks -d '{{"url":"http://127.0.0.1:8000/"}}' | member id)
settings='{{"webhooks":"http://127.0.0.1:8000/","webhooksEnabled":true}}'
SECRET=$(api $URL/v1/settings -d "$settings" | member serviceSecret)
SECRET=$SECRET python3 /srv/mailbox-engine/scripts/receivers/receiver.py 8000 /tmp/seen 2>/tmp/heard & receiver=$!
until grep -q listening /tmp/heard; do kill -0 $receiver; sleep 0.1; done
install -d -m 0700 -o mailbox-engine /backup
mkdir /srv/work && chown mailbox-engine /srv/work && cd /srv/work
engine tokens issue -q -d visitor -s api --account jane
ID=$(engine tokens list | awk 'NR == 2 {{ print $1 }}')
VISITOR=$(engine tokens list | awk 'END {{ print $1 }}')
{later}
kill -TERM $service && wait $service
kill $receiver
[ -z "$(find /var/lib/mailbox-engine ! -user mailbox-engine)" ]
useradd --create-home somebody
cp -r "$SOURCE" /home/somebody/mailbox-engine && chown -R somebody /home/somebody
cat >/srv/ordinary <<'BLOCK'
set -euo pipefail
cd ~/mailbox-engine
{FOLLOW}
{ordinary.text}
BLOCK
HOME=/home/somebody setpriv --reuid somebody --regid somebody --init-groups bash /srv/ordinary
echo "## the end"
"""
    heard = machine.run(script)
    assert heard.endswith("## the end\n"), heard[-6000:]
    assert "Traceback" not in heard
    assert "the receiver checks it" in heard
