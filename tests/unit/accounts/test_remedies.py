"""What an error at a mail server is said to mean, and what to do."""

from __future__ import annotations

import pytest

from engine.accounts.remedies import Server, of_error, of_verdict
from engine.egress import EgressRefused
from engine.errors import EngineError, LoginRefused, NetworkError, NetworkKind, ProtocolError
from engine.proxies.proxy import ProxyError, parse
from engine.smtp.verdict import Kind, Stage, Verdict

IMAP = Server("imap", "mail.example.com", 993, False, "jo@example.com")
PROXY = parse("socks5://u:p@proxy.example")
SMTP = Server("smtp", "mail.example.com", 465, True, "jo@example.com")


def network(kind: NetworkKind, code: str, text: str = "") -> NetworkError:
    return NetworkError(kind, code, text)


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (network(NetworkKind.DNS, "ENOTFOUND"), "Correct imap.host"),
        (network(NetworkKind.DNS, "EAI_AGAIN"), "name server"),
        (network(NetworkKind.CONNECT, "ECONNREFUSED"), "imap.host and imap.port"),
        (network(NetworkKind.CONNECT, "EHOSTUNREACH"), "no route to mail.example.com"),
        (network(NetworkKind.CONNECT, "EMFILE"), "LimitNOFILE"),
        (EgressRefused("no"), "[network]"),
        (network(NetworkKind.TIMEOUT, "ETIMEDOUT", "connect ETIMEDOUT x"), "firewall"),
        (
            network(NetworkKind.TIMEOUT, "ETIMEDOUT", "x did not answer in time"),
            "normally requires imap.secure to be true",
        ),
        (network(NetworkKind.CLOSED, "ECONNRESET"), "closes the connection. Port 993 normally requires imap.secure"),
        (network(NetworkKind.TLS, "CERT_HAS_EXPIRED"), "has expired"),
        (network(NetworkKind.TLS, "CERT_NOT_YET_VALID"), "clock"),
        (network(NetworkKind.TLS, "ERR_TLS_CERT_ALTNAME_INVALID"), "imap.tls.servername"),
        (network(NetworkKind.TLS, "DEPTH_ZERO_SELF_SIGNED_CERT"), "imap.tls.ca"),
        (network(NetworkKind.TLS, "ETLS", "x does not offer STARTTLS"), "imap.tls.required to false"),
        (network(NetworkKind.TLS, "ETLS", "x waits for TLS: set secure to true"), "Set imap.secure to true"),
        (network(NetworkKind.TLS, "ETLS", "no shared cipher"), "imap.tls.minVersion"),
        (network(NetworkKind.TLS, "ETLS", "TLS with x failed: connection closed"), "before TLS is established"),
        (ProxyError(PROXY, "EPROXY", "cannot be reached: connect ECONNREFUSED"), "Check that the proxy runs"),
        (ProxyError(PROXY, "EPROXYAUTH", "refuses the login"), "user and password in proxy of the account"),
        (ProxyError(PROXY, "EPROXYDENIED", "does not connect to x"), "Have the proxy allow connections to mail"),
        (ProxyError(PROXY, "EPROXYTARGET", "does not connect to x"), "from its machine"),
        (ProxyError(PROXY, "EACCES", "cannot be reached: x"), "does not let it dial the proxy"),
        (ProxyError(PROXY, "EMFILE", "cannot be reached: x"), "LimitNOFILE"),
        (network(NetworkKind.CONNECT, "EADDRNOTAVAIL", "bind EADDRNOTAVAIL 192.0.2.1"), "Correct localAddress"),
        (
            network(NetworkKind.CONNECT, "EROUTE", "The stored setting proxyUrl cannot be read: make it again"),
            "make it",
        ),
        (ProtocolError("nonsense"), "does not speak IMAP"),
        (LoginRefused("A1 NO no", "AUTHENTICATIONFAILED"), "Correct imap.auth.user and imap.auth.pass"),
        (LoginRefused("A1 NO [LIMIT] no", "LIMIT", temporary=True), "tries again by itself"),
        (LoginRefused("The server offers no way to log in with these credentials", None), "no way to log in"),
    ],
)
def test_an_error_of_a_mailbox(error: EngineError, says: str) -> None:
    assert says in of_error(error, IMAP)


@pytest.mark.parametrize(
    ("verdict", "says"),
    [
        (Verdict(Kind.LOGIN_REFUSED, Stage.AUTH, 535, "5.7.8", "535 5.7.8 no"), "smtp.auth.user and smtp.auth.pass"),
        (Verdict(Kind.LATER, Stage.GREETING, 421, None, "421 busy"), "accepts no mail from this account at the moment"),
        (Verdict(Kind.LATER, Stage.EHLO, None, None, "nonsense"), "does not speak SMTP"),
        (
            Verdict(Kind.LATER, Stage.CONNECT, None, None, "x", NetworkKind.CONNECT, "ECONNREFUSED"),
            "smtp.host and smtp.port",
        ),
        (
            Verdict(Kind.LATER, Stage.TLS, None, None, "x in clear: set secure to false", NetworkKind.TLS, "ETLS"),
            "Set smtp.secure to false",
        ),
    ],
)
def test_an_attempt_at_sending(verdict: Verdict, says: str) -> None:
    assert says in of_verdict(verdict, SMTP)


def test_a_server_with_tls_is_not_suspected_to_want_it() -> None:
    silent = Verdict(Kind.LATER, Stage.GREETING, None, None, "x", NetworkKind.TIMEOUT, "ETIMEDOUT")
    assert "smtp.secure" not in of_verdict(silent, SMTP)


def test_a_refused_access_token_is_not_called_a_password() -> None:
    given = Server("imap", "mail.example.com", 993, True, "jo@example.com", given_token=True)
    said = of_error(LoginRefused("A1 NO no", "AUTHENTICATIONFAILED"), given)
    assert "access token of jo@example.com" in said and "imap.auth.accessToken" in said and "auth.pass" not in said
    said = of_error(LoginRefused("The server offers no way to log in with these credentials", None), given)
    assert "with an access token" in said
