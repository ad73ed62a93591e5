"""Tells programs from people when they load a picture of a mail or follow a link. Pure.

The answer is a guess, so it only marks an event and never drops one. The data is from November 2026:

* Gmail loads pictures through "via ggpht.com GoogleImageProxy", mostly when the mail is opened, and some beforehand
  under one fixed agent (bird.com/en-us/blog/gmail-prefetching-images, January 2022).
* Apple's Mail Privacy Protection loads all pictures, opened or not, as plain "Mozilla/5.0"
  (suped.com, "What methods do ESPs ... use to identify Apple MPP", September 2025). 17.0.0.0/8 is Apple's network.
* Yahoo and AOL load through "YahooMailProxy" (validity.com, "provider categories" of Everest).
* `Sec-Purpose` and its older names mark what a browser loads beforehand (WICG nav-speculation, "Prefetch").
* The names of security products and bots are those that they give themselves in `User-Agent`.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping

from engine.schema.recipient_events import Automated

SOON = 1.0
"""Seconds after a delivery within which no person acts."""
_GMAIL_PREFETCH = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/42.0.2311.135 Safari/537.36 Edge/12.246 Mozilla/5.0"
)
_APPLE_PROXY = "Mozilla/5.0"
_APPLE = ipaddress.ip_network("17.0.0.0/8")
_IMAGE_PROXIES = re.compile(r"GoogleImageProxy|YahooMailProxy|YahooCacheSystem", re.IGNORECASE)
_SCANNERS = re.compile(
    r"bot\b|crawl|spider|preview|scanner|barracuda|mimecast|proofpoint|symantec|zscaler|trendmicro|forcepoint|sophos"
    r"|fireeye|trellix|ironport|checkpoint|virustotal|urlscan|safelinks|facebookexternalhit|whatsapp|slackbot|bingpreview"
    r"|headless|phantomjs|puppeteer|playwright|selenium|curl/|wget/|python-|aiohttp|httpx/|go-http-client|okhttp|java/"
    r"|apache-httpclient|libwww|node-fetch|axios/|ruby|guzzlehttp|powershell",
    re.IGNORECASE,
)
_PURPOSES = ("sec-purpose", "purpose", "x-purpose", "x-moz")


def by_request(method: str, headers: Mapping[str, str], address: str | None) -> Automated | None:
    """What a request itself reveals (header names in lower case); None: nothing suggests a program."""
    agent = headers.get("user-agent", "").strip()
    if method == "HEAD":
        return "head"
    if agent == _GMAIL_PREFETCH or any(
        "prefetch" in value or "preview" in value for value in (headers.get(name, "").lower() for name in _PURPOSES)
    ):
        return "prefetch"
    if agent == _APPLE_PROXY or _IMAGE_PROXIES.search(agent) or _is_apple(address):
        return "imageProxy"
    if not agent or _SCANNERS.search(agent):
        return "scanner"
    return None


def _is_apple(address: str | None) -> bool:
    try:
        return address is not None and ipaddress.ip_address(address) in _APPLE
    except ValueError:
        return False
