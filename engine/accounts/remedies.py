"""What an error of a mail server means, and what to do about it, in plain words. Pure.

Servers and libraries use terms that the reader of a log or an account may not know. Members are named as in a
registration (`imap.host`).
"""

from __future__ import annotations

import msgspec

from engine.errors import EngineError, LoginRefused, NetworkError, NetworkKind
from engine.proxies.proxy import DENIED, LOGIN_REFUSED, TARGET_UNREACHED, UNREACHED
from engine.smtp.verdict import Kind, Verdict, error_code

TLS_PORTS = frozenset({465, 993})
"""Ports on which TLS begins with the first byte."""

_UNTRUSTED = frozenset(
    {
        "DEPTH_ZERO_SELF_SIGNED_CERT",
        "SELF_SIGNED_CERT_IN_CHAIN",
        "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
        "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
    }
)
GATEWAY = "gateway"
"""What members of a gateway are called in place of `imap` or `smtp`."""
SANDBOX_OFF = "ESANDBOXOFF"
"""The error code of a sandbox account while the configuration switches the sandbox off."""
_NO_WAY = frozenset({"EHOSTUNREACH", "ENETUNREACH", "EHOSTDOWN", "ENETDOWN"})
BY_ITSELF = "The engine tries again by itself."
_PLACE = "{0}.host and {0}.port"


class Server(msgspec.Struct, frozen=True):
    """One server of an account. `member` is its name in a registration; `user` is empty without a login.

    `signs_in`: it gets the access tokens of the account's OAuth2 sign-in. `asks`: it gets what the auth server says.
    `given_token`: it gets an access token that is in the registration instead of a password.
    """

    member: str
    host: str
    port: int
    secure: bool
    user: str = ""
    signs_in: bool = False
    asks: bool = False
    given_token: bool = False

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"

    @property
    def protocol(self) -> str:
        """The protocol it should speak."""
        return "SMTP" if self.member == GATEWAY else self.member.upper()

    @property
    def login(self) -> str:
        """The members that hold its login."""
        at = self.member if self.member == GATEWAY else f"{self.member}.auth"
        return f"{at}.user and {at}.{'accessToken' if self.given_token else 'pass'}"


class Servers(msgspec.Struct, frozen=True):
    """The servers of an account, each None if it has none. `tokens`: those that get an OAuth2 access token.

    `sandbox`: both are inside the engine.
    """

    imap: Server | None = None
    smtp: Server | None = None
    tokens: frozenset[str] = frozenset()
    sandbox: bool = False


def of_error(error: EngineError, server: Server) -> str:
    """What an error of a session with `server` means, and what to do."""
    if isinstance(error, LoginRefused):
        return _refused(str(error), server, temporary=error.temporary)
    if isinstance(error, NetworkError):
        return _network(error.kind, error.code, str(error), server)
    return _not_understood(server)


def of_verdict(verdict: Verdict, server: Server) -> str:
    """The same for an attempt to send that ended before any message."""
    if verdict.kind is Kind.LOGIN_REFUSED:
        return _refused(verdict.text, server, temporary=False)
    if verdict.network is not None:
        return _network(verdict.network, verdict.network_code or error_code(verdict), verdict.text, server)
    if verdict.code is not None:
        whose = "from us" if server.member == GATEWAY else "from this account"
        return f"{server} answers, but accepts no mail {whose} at the moment. {BY_ITSELF}"
    return _not_understood(server)


def _refused(text: str, server: Server, *, temporary: bool) -> str:
    if temporary:
        return f"{server} does not accept the login of {server.user or 'this user'} at the moment. {BY_ITSELF}"
    member = server.member
    if server.signs_in:
        return (
            f"{server} refuses the access token of {server.user}, and a new one too. Check that this user may open the "
            f"mailbox, and that {server.protocol} is allowed for it, or have its owner sign in again."
        )
    if server.asks:
        return (
            f"{server} refuses the login that the auth server gave. Have authServer (POST /v1/settings) answer with "
            f"credentials that open this mailbox over {server.protocol}."
        )
    if text.startswith("The server offers") and server.given_token:
        return f"{server} offers no way to log in with an access token. It may require TLS ({member}.secure)."
    if text.startswith("The server offers"):
        return (
            f"{server} offers no way to log in that fits {server.login}. It may require TLS ({member}.secure), or "
            "an access token instead of a password."
        )
    if server.given_token:
        return (
            f"{server} refuses the access token of {server.user}: it may have expired, or be for another mailbox. "
            f"Correct {server.login}, or register the account with oauth2, so that the engine renews its tokens."
        )
    user = server.user or "this user"
    return f"{server} refuses the login of {user}. Correct {server.login}."


def _network(kind: NetworkKind, code: str, text: str, server: Server) -> str:
    member, host = server.member, server.host
    if text.startswith("The proxy ") and (said := _of_proxy(code, text, server)):
        return said
    if kind is NetworkKind.DNS:
        if code == "ENOTFOUND":
            return f"There is no host {host}. Correct {member}.host."
        return f"The name {host} cannot be resolved at the moment. Check this machine's name server. {BY_ITSELF}"
    if code == "EACCES":
        return f"The rules under [network] in the engine's configuration do not allow connections to {server}."
    if code == SANDBOX_OFF:
        return (
            "The account is registered with sandbox: true, and the sandbox is switched off. Set enabled = true under "
            "[sandbox] in the engine's configuration and restart the engine, or remove the account."
        )
    if code == "EROUTE":
        return f"{text}. Until then the engine dials {server} by no other way."
    if code == "EADDRNOTAVAIL":
        return (
            f"The connection to {server} cannot leave from the address that is set ({text}). Correct localAddress of "
            "the account or localAddresses in the settings, or give this machine the address."
        )
    if code == "EMFILE":
        return f"This machine has no file descriptor left for a connection. Raise LimitNOFILE. {BY_ITSELF}"
    if code == "ECONNREFUSED":
        return f"Nothing listens at {server}. Start the server there, or correct {_PLACE.format(member)}. {BY_ITSELF}"
    if code in _NO_WAY:
        return f"This machine has no route to {host}. Check its network. {BY_ITSELF}"
    if kind is NetworkKind.TLS:
        return _tls(code, text, server)
    if kind is NetworkKind.TIMEOUT:
        if "connect" in text:
            return f"Nothing answers at {server}: the host is down, or a firewall blocks the connection. {BY_ITSELF}"
        silent = f"{server} accepts the connection but sends nothing. {_suspect_tls(server)}"
        return f"{silent}It may not be an {server.protocol} server: check {_PLACE.format(member)}. {BY_ITSELF}"
    return f"{server} closes the connection. {_suspect_tls(server)}{BY_ITSELF}"


def _of_proxy(code: str, text: str, server: Server) -> str | None:
    """What to do if the proxy is at fault; None if this machine is."""
    where = "proxy of the account, or proxyUrl in the settings"
    if code == LOGIN_REFUSED:
        return f"{text}. Correct the user and password in {where}."
    if code == DENIED:
        return f"{text}. Have the proxy allow connections to {server}, or set another one in {where}."
    if code == TARGET_UNREACHED:
        return f"{text}. The proxy itself answers: try {server} from its machine. {BY_ITSELF}"
    if code == UNREACHED:
        return f"{text}. Check that the proxy runs, and its address in {where}. {BY_ITSELF}"
    if code == "EACCES":
        return f"[network] in the engine's configuration does not let it dial the proxy: {text}."
    return None


def _tls(code: str, text: str, server: Server) -> str:
    member, host = server.member, server.host
    if "set secure to " in text:
        wanted = "true" if "set secure to true" in text else "false"
        return f"{text.partition(': set')[0]}. Set {member}.secure to {wanted}."
    if code == "CERT_HAS_EXPIRED":
        return f"The certificate of {server} has expired. Its operator must renew it."
    if code == "CERT_NOT_YET_VALID":
        return f"The certificate of {server} is not valid yet. Check the clock of this machine."
    if code == "ERR_TLS_CERT_ALTNAME_INVALID":
        return f"The certificate of {server} names another host. Correct {member}.host or set {member}.tls.servername."
    if code in _UNTRUSTED:
        return (
            f"No authority that this machine trusts has signed the certificate of {server}. Put the server's authority "
            f"into {member}.tls.ca, or set {member}.tls.rejectUnauthorized to false."
        )
    if "STARTTLS" in text:
        return (
            f"{server} does not offer TLS, and the password must not be sent in clear text. Use the TLS port with "
            f"{member}.secure set to true, or allow clear text by setting {member}.tls.required to false."
        )
    if text.endswith("connection closed"):
        return f"{server} closes the connection before TLS is established. {BY_ITSELF}"
    return f"A TLS connection to {host} cannot be established. Check {member}.secure and {member}.tls.minVersion."


def _suspect_tls(server: Server) -> str:
    if server.secure or server.port not in TLS_PORTS:
        return ""
    return f"Port {server.port} normally requires {server.member}.secure to be true. "


def _not_understood(server: Server) -> str:
    return (
        f"The server at {server} does not speak {server.protocol} as it should. "
        f"Check {server.member}.host and {server.member}.port. {BY_ITSELF}"
    )
