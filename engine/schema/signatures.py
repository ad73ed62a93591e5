"""The signatures that a provider keeps for an account."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from engine.schema.fields import Address, Response


class Signature(Response, frozen=True, kw_only=True):
    """The signature for one address."""

    address: Annotated[Address, Meta(description="The address that it is for.")]
    signature: Annotated[str, Meta(description="The signature, as HTML.", examples=["<p>Andris</p>"])]


class Signatures(Response, frozen=True, kw_only=True):
    """The signatures that the provider keeps."""

    EXAMPLE = {"signatures": [], "signaturesSupported": False}

    signatures: Annotated[tuple[Signature, ...], Meta(description="The signatures.")]
    signatures_supported: Annotated[
        bool, Meta(description="Whether they can be read. `false`: IMAP has no signatures.", examples=[False])
    ]
