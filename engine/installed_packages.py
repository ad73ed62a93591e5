"""The packages that the engine is made for, and those that are installed."""

from __future__ import annotations

import importlib.metadata
import re

import msgspec

REQUIRED = (
    "trio>=0.35,<0.36",
    "anyio>=4.16,<5",
    "h11>=0.16,<0.17",
    "hypercorn>=0.18,<0.19",
    "quart>=0.22,<0.23",
    "quart-trio>=0.12,<0.13",
    "jinja2>=3.1.6,<4",
    "trio-websocket>=0.12.2,<0.13",
    "msgspec>=0.22,<0.23",
    "httpx2>=2.16,<3",
    "httpcore2>=2.16,<3",
    "cryptography>=50,<51",
    "email-validator>=2.4,<3",
    "jmespath>=1.1,<2",
    "dnspython>=2.6,<3",
    "idna>=3.7,<4",
    "webencodings>=0.6.1,<0.7",
    "charset-normalizer>=3.5,<4",
    "flufl-bounce>=6,<7",
    "nh3>=0.3.7,<0.4",
    "markdown-it-py>=4.3,<5",
    "linkify-it-py>=2.2,<3",
    "css-inline>=0.24,<0.25",
    "pybase64>=1.4,<2",
    "webauthn>=3.0.1,<4",
    "segno>=1.6.6,<2",
    "prometheus-client>=0.26,<0.27",
    "coredis>=6.9,<7",
)
WAY_OUT = "install the engine's requirements again"
_REQUIREMENT = re.compile(r"([a-z0-9-]+)>=([0-9.]+),<([0-9.]+)")


class Installed(msgspec.Struct, frozen=True):
    """What was found: what is wrong with packages that are, and every package there is with its version."""

    wrong: list[str]
    right: list[str]


def look() -> Installed:
    """Compare the installed versions with the required ones."""
    wrong, right = [], []
    for requirement in REQUIRED:
        match = _REQUIREMENT.fullmatch(requirement)
        assert match is not None
        name, low, high = match.groups()
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            wrong.append(f"{requirement} is missing")
            continue
        if not _numbers(low) <= _numbers(version) < _numbers(high):
            wrong.append(f"{name} is {version}, not {requirement}")
        right.append(f"{name} {version}")
    return Installed(wrong, right)


def _numbers(version: str) -> tuple[int, ...]:
    match = re.match(r"\d+(?:\.\d+)*", version)
    return tuple(map(int, match[0].split("."))) if match else ()
