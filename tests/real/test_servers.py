"""The servers the other tests stand on, tried with the standard library's clients and no code of the engine."""

from __future__ import annotations

import contextlib
import http.client
import imaplib
import smtplib
import socket
import ssl
from typing import Any

import pytest
from real.dovecot import Dovecot
from real.postfix import MESSAGE_SIZE_LIMIT, Postfix
from real.processes import PATIENCE_SECONDS, process_tree
from real.servers import MailServer
from real.smtp_server import SmtpServer, Trouble
from real.smtp_sink import SmtpSink
from real.webhook_receiver import WebhookReceiver

pytestmark = pytest.mark.real


def trusting(server: MailServer) -> ssl.SSLContext:
    return ssl.create_default_context(cadata=server.ca_pem)


def message(subject: str, *headers: str) -> bytes:
    lines = ["From: a@example.com", "To: b@example.com", f"Subject: {subject}", *headers, "", "..leading dot", "end"]
    return "\r\n".join(lines).encode()


def submission(postfix: Postfix, name: str | None = None) -> tuple[smtplib.SMTP, str]:
    login, password = postfix.user(name)
    client = smtplib.SMTP(postfix.host, postfix.port, timeout=PATIENCE_SECONDS)
    client.starttls(context=trusting(postfix))
    client.login(login, password)
    return client, login


class TestDovecot:
    def test_login_over_tls(self, dovecot: Dovecot) -> None:
        with imaplib.IMAP4_SSL(dovecot.host, dovecot.tls_port, ssl_context=trusting(dovecot)) as client:
            assert client.login(*dovecot.user())[0] == "OK"

    def test_login_after_starttls(self, dovecot: Dovecot) -> None:
        with imaplib.IMAP4(dovecot.host, dovecot.port) as client:
            client.starttls(trusting(dovecot))
            assert client.login(*dovecot.user())[0] == "OK"

    def test_login_without_tls_where_none_is_offered(self, dovecot: Dovecot) -> None:
        with imaplib.IMAP4(dovecot.plain_host, dovecot.plain_port) as client:
            assert "STARTTLS" not in client.capabilities
            assert client.login(*dovecot.user())[0] == "OK"

    def test_wrong_password_is_refused_and_not_held_against_the_client(self, dovecot: Dovecot) -> None:
        login, password = dovecot.user()
        with imaplib.IMAP4(dovecot.host, dovecot.port) as client:
            for _ in range(3):
                with pytest.raises(imaplib.IMAP4.error, match="AUTHENTICATIONFAILED"):
                    client.login(login, "wrong")
            assert client.login(login, password)[0] == "OK"

    def test_unknown_user_is_refused_alike(self, dovecot: Dovecot) -> None:
        client = imaplib.IMAP4(dovecot.host, dovecot.port)
        with client, pytest.raises(imaplib.IMAP4.error, match="AUTHENTICATIONFAILED"):
            client.login("nobody@example.com", "secret")

    def test_changed_password_holds_for_the_next_login(self, dovecot: Dovecot) -> None:
        login, before = dovecot.user()
        dovecot.change_password(login, "another")
        with imaplib.IMAP4(dovecot.host, dovecot.port) as client:
            with pytest.raises(imaplib.IMAP4.error):
                client.login(login, before)
            assert client.login(login, "another")[0] == "OK"

    def test_special_use_mailboxes(self, dovecot: Dovecot) -> None:
        with imaplib.IMAP4(dovecot.host, dovecot.port) as client:
            client.login(*dovecot.user())
            listed: list[Any] = client.list()[1]
            lines = b"\n".join(listed)
        for mailbox in ("Drafts", "Sent", "Trash", "Junk"):
            assert f'\\{mailbox}) "/" {mailbox}'.encode() in lines

    def test_appended_message_is_on_the_disk(self, dovecot: Dovecot) -> None:
        login, password = dovecot.user()
        with imaplib.IMAP4(dovecot.host, dovecot.port) as client:
            client.login(login, password)
            client.append("Sent", "\\Seen", "", message("filed"))
        (filed,) = dovecot.messages(login, "Sent")
        assert b"Subject: filed" in filed

    def test_users_without_a_name_are_all_different(self, dovecot: Dovecot) -> None:
        assert dovecot.user() != dovecot.user()
        assert dovecot.user("known") == dovecot.user("known")


class TestCertificates:
    def test_expired(self, dovecot: Dovecot, postfix: Postfix) -> None:
        for server in (dovecot, postfix):
            assert verify_error(server, server.expired_host) == "certificate has expired"

    def test_wrong_name(self, dovecot: Dovecot, postfix: Postfix) -> None:
        for server in (dovecot, postfix):
            assert "IP address mismatch" in verify_error(server, server.wrong_name_host)

    def test_starttls_shows_the_same_bad_certificates(self, postfix: Postfix) -> None:
        for host in (postfix.expired_host, postfix.wrong_name_host):
            with (
                smtplib.SMTP(host, postfix.port, timeout=PATIENCE_SECONDS) as client,
                pytest.raises(ssl.SSLCertVerificationError),
            ):
                client.starttls(context=trusting(postfix))


def verify_error(server: MailServer, host: str) -> str:
    with socket.create_connection((host, server.tls_port), timeout=PATIENCE_SECONDS) as connection:
        with pytest.raises(ssl.SSLCertVerificationError) as refused:
            trusting(server).wrap_socket(connection, server_hostname=host)
        return refused.value.verify_message


class TestPostfix:
    def test_submitted_mail_is_in_the_mailbox_and_seen_by_imap(self, postfix: Postfix, dovecot: Dovecot) -> None:
        recipient, password = dovecot.user()
        client, sender = submission(postfix)
        with client:
            assert client.sendmail(sender, [recipient], message("one")) == {}
        (delivered,) = dovecot.wait_for_messages(recipient)
        assert b"Subject: one\n" in delivered
        assert b"\n..leading dot\n" in delivered
        with imaplib.IMAP4(dovecot.host, dovecot.port) as reader:
            reader.login(recipient, password)
            assert reader.select()[1] == [b"1"]

    def test_recipient_with_a_tag_lands_in_the_same_mailbox(self, postfix: Postfix, dovecot: Dovecot) -> None:
        recipient, _ = dovecot.user()
        client, sender = submission(postfix)
        with client:
            client.sendmail(sender, [recipient.replace("@", "+tag@")], message("tagged"))
        assert len(dovecot.wait_for_messages(recipient)) == 1

    def test_implicit_tls(self, postfix: Postfix) -> None:
        with smtplib.SMTP_SSL(
            postfix.host, postfix.tls_port, timeout=PATIENCE_SECONDS, context=trusting(postfix)
        ) as client:
            assert client.login(*postfix.user())[0] == 235

    def test_plain_port_offers_no_tls_but_a_login(self, postfix: Postfix) -> None:
        with smtplib.SMTP(postfix.plain_host, postfix.plain_port, timeout=PATIENCE_SECONDS) as client:
            client.ehlo()
            assert not client.has_extn("starttls")
            assert client.login(*postfix.user())[0] == 235

    def test_every_mechanism_logs_in(self, postfix: Postfix) -> None:
        for mechanism in ("auth_plain", "auth_login", "auth_cram_md5"):
            with smtplib.SMTP_SSL(
                postfix.host, postfix.tls_port, timeout=PATIENCE_SECONDS, context=trusting(postfix)
            ) as client:
                client.ehlo()
                client.user, client.password = postfix.user()
                name = mechanism.removeprefix("auth_").upper().replace("_", "-")
                assert client.auth(name, getattr(client, mechanism))[0] == 235

    def test_submission_demands_tls_then_a_login(self, postfix: Postfix) -> None:
        with smtplib.SMTP(postfix.host, postfix.port, timeout=PATIENCE_SECONDS) as client:
            client.ehlo()
            assert not client.has_extn("auth")
            assert client.docmd("MAIL FROM:<a@example.com>") == (530, b"5.7.0 Must issue a STARTTLS command first")
            client.starttls(context=trusting(postfix))
            client.ehlo()
            client.mail("a@example.com")
            assert client.rcpt("b@example.com")[0] == 554

    def test_wrong_password_is_refused(self, postfix: Postfix) -> None:
        login, _ = postfix.user()
        client = smtplib.SMTP_SSL(postfix.host, postfix.tls_port, timeout=PATIENCE_SECONDS, context=trusting(postfix))
        with client, pytest.raises(smtplib.SMTPAuthenticationError) as refused:
            client.login(login, "wrong")
        assert refused.value.smtp_code == 535

    def test_each_recipient_has_its_own_verdict(self, postfix: Postfix, dovecot: Dovecot) -> None:
        recipient, _ = dovecot.user()
        client, sender = submission(postfix)
        with client:
            refused = client.sendmail(sender, [recipient, "reject@example.com", "defer@example.net"], message("three"))
        assert {address: code for address, (code, _) in refused.items()} == {
            "reject@example.com": 550,
            "defer@example.net": 450,
        }
        assert refused["reject@example.com"][1].startswith(b"5.1.1 ")
        assert refused["defer@example.net"][1].startswith(b"4.2.0 ")
        assert len(dovecot.wait_for_messages(recipient)) == 1

    def test_refused_after_the_dot(self, postfix: Postfix) -> None:
        client, sender = submission(postfix)
        with client, pytest.raises(smtplib.SMTPDataError) as refused:
            client.sendmail(sender, ["b@example.com"], message("refused", "X-Refuse: yes"))
        assert (refused.value.smtp_code, refused.value.smtp_error) == (550, b"5.7.1 Message content rejected")

    def test_size_limit_is_announced(self, postfix: Postfix) -> None:
        client, sender = submission(postfix)
        with client:
            assert client.esmtp_features["size"] == str(MESSAGE_SIZE_LIMIT)
            assert client.mail(sender, [f"SIZE={MESSAGE_SIZE_LIMIT + 1}"])[0] == 552

    def test_other_domains_go_to_the_relay(self, postfix: Postfix, relay: SmtpServer) -> None:
        before = len(relay.messages)
        client, sender = submission(postfix)
        with client:
            client.sendmail(sender, ["x@example.net"], message("abroad"))
        relayed = relay.wait_for_messages(before + 1)[before]
        assert (relayed.sender, relayed.recipients) == (sender, ["x@example.net"])
        assert b"\r\n..leading dot\r\n" in relayed.data


class TestRestart:
    def test_dovecot_comes_back_on_its_ports_with_its_mail(self, dovecot: Dovecot) -> None:
        login, password = dovecot.user()
        with imaplib.IMAP4(dovecot.host, dovecot.port) as client:
            client.login(login, password)
            client.append("INBOX", "", "", message("kept"))
        dovecot.restart()
        with imaplib.IMAP4(dovecot.host, dovecot.port) as client:
            client.login(login, password)
            assert client.select()[1] == [b"1"]

    def test_postfix_comes_back_on_its_ports(self, postfix: Postfix) -> None:
        postfix.restart()
        client, _ = submission(postfix)
        client.quit()

    def test_stopped_server_leaves_no_process_and_refuses_connections(self, postfix: Postfix) -> None:
        tree = process_tree(postfix.pid)
        assert len(tree) > 2
        postfix.stop()
        try:
            assert [pid for pid in tree if process_tree(pid)] == []
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection((postfix.host, postfix.port), timeout=PATIENCE_SECONDS)
        finally:
            postfix.start()

    def test_frozen_server_answers_nobody_until_it_thaws(self, dovecot: Dovecot, postfix: Postfix) -> None:
        for server in (dovecot, postfix):
            with socket.create_connection((server.host, server.port), timeout=PATIENCE_SECONDS) as open_before:
                assert open_before.recv(1000)
                server.freeze()
                try:
                    open_before.sendall(b"1 NOOP\r\n")
                    open_before.settimeout(0.2)
                    with pytest.raises(TimeoutError):
                        open_before.recv(1000)
                finally:
                    server.thaw()
                open_before.settimeout(PATIENCE_SECONDS)
                assert open_before.recv(1000)


class TestSmtpSink:
    def test_keeps_each_message(self, smtp_sink: SmtpSink) -> None:
        with smtplib.SMTP(smtp_sink.host, smtp_sink.port, timeout=PATIENCE_SECONDS) as client:
            client.sendmail("a@example.com", ["b@example.net"], message("first"))
            client.sendmail("a@example.com", ["b@example.net"], message("second"))
        kept = smtp_sink.wait_for_messages(2)
        assert [b"Subject: first" in dump for dump in kept].count(True) == 1
        assert [b"Subject: second" in dump for dump in kept].count(True) == 1
        assert all(b"X-Rcpt-Args: <b@example.net>" in dump for dump in kept)


class TestScriptedServer:
    def test_keeps_what_it_is_sent(self, smtp_server: SmtpServer) -> None:
        with smtplib.SMTP(smtp_server.host, smtp_server.port, timeout=PATIENCE_SECONDS) as client:
            client.login("any", "thing")
            client.sendmail("a@example.com", ["b@example.net", "c@example.net"], message("kept"))
        (kept,) = smtp_server.messages
        assert (kept.sender, kept.recipients) == ("a@example.com", ["b@example.net", "c@example.net"])
        assert kept.data == message("kept") + b"\r\n"

    def test_every_way_to_log_in(self, smtp_server: SmtpServer) -> None:
        for mechanism in ("PLAIN", "LOGIN"):
            for at_once in (True, False):
                with smtplib.SMTP(smtp_server.host, smtp_server.port, timeout=PATIENCE_SECONDS) as client:
                    client.ehlo()
                    client.user, client.password = "any", "thing"
                    method = getattr(client, f"auth_{mechanism.lower()}")
                    assert client.auth(mechanism, method, initial_response_ok=at_once)[0] == 235

    def test_scripted_replies(self, smtp_server: SmtpServer) -> None:
        with smtplib.SMTP(smtp_server.host, smtp_server.port, timeout=PATIENCE_SECONDS) as client:
            smtp_server.replies = {"RCPT": "451 4.3.0 Later"}
            with pytest.raises(smtplib.SMTPRecipientsRefused):
                client.sendmail("a@example.com", ["b@example.net"], message("later"))
            smtp_server.replies = {"DOT": "554 5.7.1 Spam"}
            with pytest.raises(smtplib.SMTPDataError, match="Spam"):
                client.sendmail("a@example.com", ["b@example.net"], message("never"))
        assert smtp_server.messages == []

    def test_closes_after_the_dot_and_keeps_the_message(self, smtp_server: SmtpServer) -> None:
        smtp_server.trouble = Trouble.CLOSE_AFTER_DOT
        client = smtplib.SMTP(smtp_server.host, smtp_server.port, timeout=PATIENCE_SECONDS)
        with pytest.raises(smtplib.SMTPServerDisconnected):
            client.sendmail("a@example.com", ["b@example.net"], message("doubt"))
        assert len(smtp_server.messages) == 1

    def test_closes_before_the_dot_and_has_nothing(self, smtp_server: SmtpServer) -> None:
        smtp_server.trouble = Trouble.CLOSE_BEFORE_DOT
        client = smtplib.SMTP(smtp_server.host, smtp_server.port, timeout=PATIENCE_SECONDS)
        with pytest.raises(smtplib.SMTPServerDisconnected):
            client.sendmail("a@example.com", ["b@example.net"], message("nothing"))
        assert smtp_server.messages == []

    def test_hangs_after_the_dot(self, smtp_server: SmtpServer) -> None:
        smtp_server.trouble = Trouble.HANG_AFTER_DOT
        client = smtplib.SMTP(smtp_server.host, smtp_server.port, timeout=0.3)
        with pytest.raises(smtplib.SMTPServerDisconnected, match="timed out"):
            client.sendmail("a@example.com", ["b@example.net"], message("doubt"))
        client.close()
        assert len(smtp_server.messages) == 1

    def test_hangs_after_the_greeting(self, smtp_server: SmtpServer) -> None:
        smtp_server.trouble = Trouble.HANG_AFTER_GREETING
        client = smtplib.SMTP(smtp_server.host, smtp_server.port, timeout=0.3)
        with pytest.raises(smtplib.SMTPServerDisconnected, match="timed out"):
            client.ehlo()
        client.close()

    def test_never_greets(self, smtp_server: SmtpServer) -> None:
        smtp_server.trouble = Trouble.SILENT
        with pytest.raises(smtplib.SMTPServerDisconnected, match="timed out"):
            smtplib.SMTP(smtp_server.host, smtp_server.port, timeout=0.3)


class TestWebhookReceiver:
    def test_keeps_headers_and_bytes(self, webhook_receiver: WebhookReceiver) -> None:
        body = b'{ "event": "messageSent",\n "data": {} }'
        assert post(webhook_receiver, body).status == 200
        (webhook,) = webhook_receiver.webhooks
        assert webhook.body == body
        assert webhook.headers["webhook-id"] == "1"
        assert webhook_receiver.wait_for("messageSent") == [{"event": "messageSent", "data": {}}]
        assert webhook_receiver.events("messageFailed") == []

    def test_answers_what_it_is_told(self, webhook_receiver: WebhookReceiver) -> None:
        webhook_receiver.status, webhook_receiver.headers = 429, {"Retry-After": "7"}
        answer = post(webhook_receiver, b'{"event": "x"}')
        assert (answer.status, answer.getheader("Retry-After")) == (429, "7")

    def test_can_keep_its_sender_waiting(self, webhook_receiver: WebhookReceiver) -> None:
        webhook_receiver.delay = 60.0
        with pytest.raises(TimeoutError):
            post(webhook_receiver, b'{"event": "x"}', timeout=0.2)
        assert len(webhook_receiver.webhooks) == 1


def post(receiver: WebhookReceiver, body: bytes, timeout: float = 10) -> http.client.HTTPResponse:
    with contextlib.closing(http.client.HTTPConnection(receiver.url.split("/")[2], timeout=timeout)) as connection:
        connection.request("POST", "/hook", body, {"Webhook-Id": "1"})
        answer = connection.getresponse()
        answer.read()
        return answer
