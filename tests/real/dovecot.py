"""A private Dovecot on loopback: real IMAP for the tests, and the one who checks logins for the private Postfix.

Started with `dovecot -F -c <generated config>` in a folder of its own, with users of its own and mail in Maildirs.
Needs root, since it changes users, and Dovecot 2.3, whose configuration differs from 2.4's; `Dovecot` raises
`ServerMissing` where either is not there. Failed logins are answered at once: Dovecot's usual delays would make every
such test slow.
"""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import time
from pathlib import Path

from real.certificates import Certificates
from real.processes import wait_until
from real.servers import (
    EXPIRED_HOST,
    HOST,
    PLAIN_HOST,
    VMAIL_UID,
    WRONG_NAME_HOST,
    MailServer,
    ServerMissing,
    free_ports,
)

DOMAIN = "example.com"

_CONFIG = """
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/log
instance_name = {folder.name}
listen = {hosts}
protocols = imap

ssl = yes
ssl_cert = <{good[0]}
ssl_key = <{good[1]}
local {expired_host} {{
  ssl_cert = <{expired[0]}
  ssl_key = <{expired[1]}
}}
local {wrong_name_host} {{
  ssl_cert = <{wrong_name[0]}
  ssl_key = <{wrong_name[1]}
}}
local {plain_host} {{
  ssl = no
}}
disable_plaintext_auth = no
auth_mechanisms = plain login cram-md5 scram-sha-256
auth_failure_delay = 0
passdb {{
  driver = passwd-file
  args = scheme=PLAIN username_format=%u {folder}/users/%u
}}
userdb {{
  driver = static
  args = uid={uid} gid={uid} home={folder}/mail/%u
}}
service auth {{
  unix_listener {folder}/auth {{
    mode = 0666
  }}
}}
service anvil {{
  chroot =
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service stats {{
  chroot =
}}
service imap-login {{
  chroot =
  service_count = 0
  process_min_avail = 1
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = {tls_port}
    ssl = yes
  }}
}}

protocol imap {{
  mail_plugins = imap_zlib
}}
mail_location = maildir:{folder}/mail/%u/Maildir
first_valid_uid = 100
mail_fsync = never
mail_max_userip_connections = 200
namespace inbox {{
  inbox = yes
  separator = {separator}
  prefix = {prefix}
  mailbox Drafts {{
    special_use = \\Drafts
    auto = create
  }}
  mailbox Sent {{
    special_use = \\Sent
    auto = create
  }}
  mailbox Trash {{
    special_use = \\Trash
    auto = create
  }}
  mailbox Junk {{
    special_use = \\Junk
    auto = create
  }}
}}
"""


class Dovecot(MailServer):
    """One private Dovecot; its mailboxes belong to `name@example.com`."""

    plain_host = PLAIN_HOST

    def __init__(self, folder: Path, certificates: Certificates, *, prefix: str = "", offers: str = "") -> None:
        """`prefix`: that of all its mailboxes but INBOX, levels separated by its last character. `offers`: all it says
        that it can do after a login, in place of everything."""
        _check_machine()
        super().__init__(folder)
        self.ca_pem = certificates.ca_pem
        self.port, self.tls_port = free_ports(2)
        self.plain_port = self.port
        self._passwords: dict[str, str] = {}
        self._numbers = itertools.count(1)
        self.mailbox_map = folder / "mailboxes"
        """Each mailbox and its Maildir below `mail`, in the form of a Postfix table."""
        self._process: subprocess.Popen[bytes] | None = None
        for name in ("run", "state", "mail", "users"):
            folder.joinpath(name).mkdir()
        os.chown(folder / "mail", VMAIL_UID, VMAIL_UID)
        folder.joinpath("dovecot.conf").write_text(
            _CONFIG.format(
                folder=folder,
                hosts=", ".join((HOST, EXPIRED_HOST, WRONG_NAME_HOST, PLAIN_HOST)),
                expired_host=EXPIRED_HOST,
                wrong_name_host=WRONG_NAME_HOST,
                plain_host=PLAIN_HOST,
                good=certificates.good,
                expired=certificates.expired,
                wrong_name=certificates.wrong_name,
                port=self.port,
                tls_port=self.tls_port,
                uid=VMAIL_UID,
                separator=prefix[-1:] or "/",
                prefix=prefix,
            )
            + (f"imap_capability = {offers}\n" if offers else "")
        )

    @property
    def auth_socket(self) -> Path:
        """Where Postfix asks whether a password is right."""
        return self.folder / "auth"

    def _launch(self) -> None:
        # No parent-death signal: it is sent when the *thread* that started the process ends, and tests restart this
        # from worker threads.
        # With very many sessions it does not end in time and is killed; its sockets then keep the next from starting.
        for path in (self.folder / "run").rglob("*"):
            if path.is_socket():
                path.unlink()
        command = ["dovecot", "-F", "-c", str(self.folder / "dovecot.conf")]
        self._process = subprocess.Popen(command, start_new_session=True)

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None else None

    def stop(self) -> None:
        super().stop()
        if self._process is not None:
            self._process.wait()
            self._process = None

    def user(self, name: str | None = None) -> tuple[str, str]:
        """The (login, password) of a mailbox, made on first mention; without a name, of one no test has used yet."""
        login = f"{name or f'fresh{next(self._numbers)}'}@{DOMAIN}"
        if login not in self._passwords:
            self._write_password(login, f"secret of {login}")
            self.mailbox_map.write_text("".join(f"{user} {user}/Maildir/\n" for user in self._passwords))
            os.utime(self.mailbox_map, (0, 0))  # Postfix waits a second or two for a fresh table to settle
        return login, self._passwords[login]

    def change_password(self, login: str, password: str) -> None:
        """What every login after this call must say. Takes up to a second."""
        self._write_password(login, password)
        # Dovecot looks at a password file once a second at most.
        before = int(time.time())
        wait_until(lambda: int(time.time()) > before, "next second")

    def _write_password(self, login: str, password: str) -> None:
        self._passwords[login] = password
        self.folder.joinpath("users", login).write_text(f"{login}:{{PLAIN}}{password}\n")

    def messages(self, login: str, mailbox: str = "INBOX") -> list[bytes]:
        """The messages in a mailbox, oldest first, read from the disk and not by IMAP."""
        maildir = self.folder / "mail" / login / "Maildir"
        if mailbox != "INBOX":
            maildir = maildir / f".{mailbox.replace('/', '.')}"
        paths = [path for state in ("new", "cur") for path in maildir.glob(f"{state}/*")]
        return [path.read_bytes() for path in sorted(paths, key=lambda path: path.name)]

    def wait_for_messages(self, login: str, count: int = 1, mailbox: str = "INBOX") -> list[bytes]:
        """`messages`, as soon as there are at least `count`. Raises `TimeoutError`."""
        wait_until(lambda: len(self.messages(login, mailbox)) >= count, f"{count} messages in {mailbox} of {login}")
        return self.messages(login, mailbox)


def _check_machine() -> None:
    if os.geteuid() != 0:
        raise ServerMissing("a private Dovecot needs root")
    if shutil.which("dovecot") is None or not Path("/usr/lib/dovecot/imap").exists():
        raise ServerMissing("Dovecot is not installed (Debian: dovecot-imapd)")
    version = subprocess.run(["dovecot", "--version"], capture_output=True, text=True, check=True).stdout
    if not version.startswith("2.3."):
        raise ServerMissing(f"these tests know Dovecot 2.3, here is {version.strip()}")
