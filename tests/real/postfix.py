"""A private Postfix on loopback: real submission for the tests, with SASL by the private Dovecot.

An instance with a folder of its own for configuration, queue and data, started with `postfix -c <folder> start`. It
takes mail only after a login. `example.com` is delivered into Dovecot's Maildirs, every other domain goes on to
`relay_port`, where a test server stands. Three things are refused on purpose, so that verdicts can be tested:
recipients that begin with `reject` (550 5.1.1) or `defer` (450 4.2.0), and, after the dot, a message with the header
`X-Refuse` (550 5.7.1). Needs root; raises `ServerMissing` where it cannot run.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from real.certificates import Certificates
from real.dovecot import DOMAIN, Dovecot
from real.servers import EXPIRED_HOST, HOST, VMAIL_UID, WRONG_NAME_HOST, MailServer, ServerMissing, free_ports

MESSAGE_SIZE_LIMIT = 10_240_000

_MAIN = """
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
maillog_file = {folder}/log
maillog_file_prefixes = {folder}
myhostname = mail.example.com
mydestination =
alias_maps =
alias_database =
mynetworks =
inet_protocols = ipv4
smtpd_peername_lookup = no
smtp_dns_support_level = disabled
fast_flush_domains =
message_size_limit = {size_limit}

smtpd_tls_chain_files = {good[1]}, {good[0]}
smtpd_tls_auth_only = yes
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = dovecot
smtpd_sasl_path = {auth_socket}
smtpd_relay_restrictions = permit_sasl_authenticated, reject
smtpd_recipient_restrictions = check_recipient_access regexp:{folder}/etc/recipients
header_checks = regexp:{folder}/etc/headers

virtual_mailbox_domains = {domain}
virtual_mailbox_base = {mail}
virtual_mailbox_maps = static:anyone
virtual_mailbox_limit = 0
recipient_delimiter = +
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{uid}
default_transport = smtp:[{host}]:{relay_port}

smtpd_error_sleep_time = 0
smtpd_hard_error_limit = 1000
smtpd_client_connection_count_limit = 0
"""
_MASTER = """
{host}:{port} inet n - n - - smtpd -o smtpd_tls_security_level=encrypt
{host}:{tls_port} inet n - n - - smtpd -o smtpd_tls_wrappermode=yes
{expired_host}:{port} inet n - n - - smtpd -o smtpd_tls_security_level=may -o smtpd_tls_chain_files={expired}
{expired_host}:{tls_port} inet n - n - - smtpd -o smtpd_tls_wrappermode=yes -o smtpd_tls_chain_files={expired}
{wrong_name_host}:{port} inet n - n - - smtpd -o smtpd_tls_security_level=may -o smtpd_tls_chain_files={wrong_name}
{wrong_name_host}:{tls_port} inet n - n - - smtpd -o smtpd_tls_wrappermode=yes -o smtpd_tls_chain_files={wrong_name}
{host}:{plain_port} inet n - n - - smtpd -o smtpd_tls_security_level=none -o smtpd_tls_auth_only=no
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
smtp unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
virtual unix - n n - - virtual -o max_use=1 -o virtual_mailbox_maps=texthash:{mailboxes}
proxymap unix - - n - - proxymap
showq unix n - n - - showq
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""
_RECIPIENTS = """
/^reject/ 550 5.1.1 Recipient address rejected: User unknown
/^defer/ 450 4.2.0 Recipient address rejected: Mailbox busy, try again later
"""
_HEADERS = """
/^X-Refuse:/ REJECT 5.7.1 Message content rejected
"""


class Postfix(MailServer):
    """One private Postfix; every user with a mailbox in `dovecot` may log in."""

    def __init__(self, folder: Path, certificates: Certificates, dovecot: Dovecot, relay_port: int) -> None:
        _check_machine()
        super().__init__(folder)
        self.ca_pem = certificates.ca_pem
        self.user = dovecot.user
        self.port, self.tls_port, self.plain_port = free_ports(3)
        self._pid_file = folder / "queue/pid/master.pid"
        for name in ("etc", "queue", "data"):
            folder.joinpath(name).mkdir()
        shutil.chown(folder / "data", "postfix")
        settings = {
            "folder": folder,
            "host": HOST,
            "expired_host": EXPIRED_HOST,
            "wrong_name_host": WRONG_NAME_HOST,
            "port": self.port,
            "tls_port": self.tls_port,
            "plain_port": self.plain_port,
            "good": certificates.good,
            "expired": ",".join(map(str, reversed(certificates.expired))),
            "wrong_name": ",".join(map(str, reversed(certificates.wrong_name))),
            "auth_socket": dovecot.auth_socket,
            "mail": dovecot.folder / "mail",
            "mailboxes": dovecot.mailbox_map,
            "domain": DOMAIN,
            "uid": VMAIL_UID,
            "relay_port": relay_port,
            "size_limit": MESSAGE_SIZE_LIMIT,
        }
        for name, text in (
            ("main.cf", _MAIN.format(**settings)),
            ("master.cf", _MASTER.format(**settings)),
            ("recipients", _RECIPIENTS),
            ("headers", _HEADERS),
        ):
            folder.joinpath("etc", name).write_text(text)
        # Postfix waits two seconds for a main.cf that has only just been written to settle.
        os.utime(folder / "etc/main.cf", (0, 0))

    def _launch(self) -> None:
        command = ["postfix", "-c", str(self.folder / "etc"), "start"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    @property
    def pid(self) -> int | None:
        return int(self._pid_file.read_text()) if self._pid_file.exists() else None

    def stop(self) -> None:
        super().stop()
        self._pid_file.unlink(missing_ok=True)


def _check_machine() -> None:
    if os.geteuid() != 0:
        raise ServerMissing("a private Postfix needs root")
    if shutil.which("postfix") is None:
        raise ServerMissing("Postfix is not installed (Debian: postfix)")
