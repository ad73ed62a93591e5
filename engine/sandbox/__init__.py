"""An in-process SMTP and IMAP provider, used by both the quickstart and the tests.

Other packages use `provider.Sandbox`. `script.describe()` lists what a recipient's address can request, and
`faults.Faults` what else can be made to fail. Below them are connections on Trio (`smtp_server`, `imap_server`), pure
modules that parse and answer (`imap_input`, `imap_view`, `imap_fetch`, `imap_search`; the dialogue of SMTP is the
door's, `smtp/server_protocol.py`), and the stored mail (`accounts`, `post_office`). This file imports nothing, so that
the pure modules stay free of Trio.
"""
