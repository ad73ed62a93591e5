"""What to do about a request that a provider did not answer, by what is to blame for it. Pure."""

from __future__ import annotations

from engine.errors import NetworkError, NetworkKind, ProtocolError
from engine.proxies.proxy import DENIED, LOGIN_REFUSED, TARGET_UNREACHED, UNREACHED

AGAIN = "The engine asks again by itself."
"""The end of most hints; no part of one where nothing is asked again."""
_PROXY = "proxy of the account, or proxyUrl in the settings"
_BY_CODE = {
    LOGIN_REFUSED: f"Correct the user and password in {_PROXY}.",
    DENIED: f"Have the proxy allow connections to the provider, or set another one in {_PROXY}.",
    TARGET_UNREACHED: "The proxy itself answers: try the provider from its machine.",
    UNREACHED: f"Check that the proxy runs, and its address in {_PROXY}.",
    "EACCES": "Allow the address under [network] in config.toml, or correct the URL in the app: its issuer, or the "
    "endpoints that it names.",
    "EROUTE": f"Set {_PROXY} again: the engine goes no other way meanwhile.",
    "EADDRNOTAVAIL": "Correct localAddress of the account or localAddresses in the settings, or give this machine the "
    "address.",
    "EMFILE": "This machine has no file descriptor left for a connection: raise LimitNOFILE.",
    "ENOTFOUND": "There is no such host: check the app's issuer or endpoints, and this machine's name server.",
    "ECONNREFUSED": "Nothing listens there: check the app's issuer or endpoints, and that the provider runs.",
}
_BY_KIND = {
    NetworkKind.DNS: "The name cannot be resolved at the moment: check this machine's name server.",
    NetworkKind.TLS: "Check that the URL is one for https, and that this machine trusts the server's certificate.",
    NetworkKind.CONNECT: "The provider cannot be reached: check that this machine may connect to it.",
    NetworkKind.TIMEOUT: "The provider does not answer: it has a fault, or a firewall holds the connection.",
    NetworkKind.CLOSED: "The provider does not answer in HTTP: it has a fault, or the URL is not its own.",
}


def hint_of_unanswered(error: NetworkError | ProtocolError) -> str:
    """What to do, in words."""
    if isinstance(error, ProtocolError):
        return f"Check the app's issuer and endpoints. {AGAIN}"
    return f"{_BY_CODE.get(error.code) or _BY_KIND[error.kind]} {AGAIN}"
