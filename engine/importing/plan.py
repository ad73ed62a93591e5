"""Everything that an import finds, in the order of the import: what others refer to comes first."""

from __future__ import annotations

from engine.importing import accounts, blocklists, gateways, oauth_apps, settings, templates, tokens, webhook_routes
from engine.importing.destination import Destination
from engine.importing.item import Item, Refused, refused
from engine.importing.records import parse
from engine.importing.source import Stored

_SECRET = "serviceSecret"


async def plan(stored: Stored, to: Destination, most_endpoints: int) -> list[Item]:
    """An item for every record that was found, and for what is never imported."""
    items = list(settings.plan(stored, to))
    apps = [item async for item in oauth_apps.plan(stored, to)]
    items += apps
    lost = {item.id: item.why for item in apps if item.outcome == "refused"}
    items += accounts.plan(stored, to, lost)
    items += gateways.plan(stored, to)
    items += [item async for item in templates.plan(stored, to)]
    items += webhook_routes.plan(stored, to, most_endpoints, _service_secret(stored, to))
    items += tokens.plan(stored, to)
    items += blocklists.plan(stored, to)
    return items + list(_left_behind(stored))


def _service_secret(stored: Stored, to: Destination) -> str | None:
    """What EmailEngine signs webhooks with; None if it is not known."""
    try:
        secret = parse(stored.settings[_SECRET], to.secrets, _SECRET)
    except (KeyError, Refused):
        return None
    return secret if isinstance(secret, str) and secret else None


def _left_behind(stored: Stored) -> list[Item]:
    counts = (
        ("queued messages", stored.queued, "EmailEngine has yet to send them: let it, or they are lost"),
        ("waiting webhooks", stored.events, "EmailEngine has yet to post them: let it, or they are lost"),
    )
    return [refused("left behind", f"{count} {what}", why) for what, count, why in counts if count]
