"""Finding the servers of an address: well-known providers, then the domain's mail exchanger, then its SRV records.

The first step needs no network. A name server that does not answer counts as "none found", not as an error: the user
can still enter the servers. Nothing is dialled and no web page is requested.
"""

from __future__ import annotations

from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from engine.accounts.providers import BY_DOMAIN, Provider, by_mx
from engine.errors import NetworkError
from engine.model.limits import PresetName
from engine.schema.account_actions import AppPassword, Autoconfig, LimitsFound, ServerFound, ServerUser, SmtpFound
from engine.world import World

_IMAP = (("_imaps._tcp", True), ("_imap._tcp", False))
_SMTP = (("_submissions._tcp", True), ("_submission._tcp", False))
SECURE_PORTS = frozenset({993, 465})


async def autoconfig(email: str, world: World) -> Autoconfig:
    """The servers of a normalised address. Cancelled: nothing is left behind."""
    domain = email.rpartition("@")[2].lower()
    if (provider := BY_DOMAIN.get(domain)) is not None:
        return _of_provider(provider, email, "provider")
    try:
        for _, exchanger in await world.mx(domain):
            if (provider := by_mx(exchanger)) is not None:
                return _of_provider(provider, email, "mx")
        imap, smtp = await _by_srv(_IMAP, domain, email, world), await _by_srv(_SMTP, domain, email, world)
    except NetworkError:
        imap = smtp = None
    source = "srv" if imap or smtp else "none"
    return Autoconfig(imap=imap or False, smtp=_smtp(smtp) if smtp else False, source=source)


def _of_provider(provider: Provider, email: str, source: str) -> Autoconfig:
    password: AppPassword | UnsetType = UNSET
    if provider.app_password is not None:
        password = AppPassword(required=True, provider=provider.name, instructions=provider.app_password)
    preset = provider.limits if source == "provider" else provider.domain_limits
    return Autoconfig(
        imap=_server(*provider.imap, email),
        smtp=_smtp(_server(*provider.smtp, email), preset),
        app_password=password,
        source=source,
    )


async def _by_srv(services: tuple[tuple[str, bool], ...], domain: str, email: str, world: World) -> ServerFound | None:
    """The first server named for one of these services (RFC 6186, RFC 8314)."""
    for service, secure in services:
        for record in await world.srv(f"{service}.{domain}"):
            if record.target:
                return replace(_server(record.target, record.port, email), secure=secure)
    return None


def _smtp(server: ServerFound, preset: PresetName | None = None) -> SmtpFound:
    limits = UNSET if preset is None else LimitsFound(preset=preset)
    return SmtpFound(auth=server.auth, host=server.host, port=server.port, secure=server.secure, limits=limits)


def _server(host: str, port: int, user: str) -> ServerFound:
    return ServerFound(auth=ServerUser(user=user), host=host, port=port, secure=port in SECURE_PORTS)
