"""What connections to mail servers share."""

from __future__ import annotations

import gc
import weakref

import trustme

from engine.transport import CONTEXTS, TlsRules, client_context


def test_tls_contexts_do_not_pile_up() -> None:
    """Each distinct rule is 0.8 MB, and the rules come from API callers."""
    rules = [TlsRules(ca=trustme.CA().cert_pem.bytes().decode()) for _ in range(CONTEXTS + 8)]
    made = [weakref.ref(client_context(each)) for each in rules]
    gc.collect()
    assert sum(context() is not None for context in made) <= CONTEXTS


def test_accounts_that_differ_only_in_the_name_to_check_share_a_context() -> None:
    assert client_context(TlsRules(servername="a.example", required=True)) is client_context(TlsRules())
