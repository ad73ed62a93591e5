"""An in-process SMTP and IMAP provider: the quickstart's account and the tests' server, one and the same.

`provider.Sandbox` is what other rooms use, `script.describe()` lists what a recipient's address can ask for, and
`faults.Faults` what else can be made to break. Below them: connections on Trio (`smtp_server`, `imap_server`), pure
modules that read and answer (`smtp_input`, `imap_input`, `imap_view`, `imap_fetch`, `imap_search`, `login`), and what
is kept (`accounts`, `post_office`). This file imports nothing, so that the pure modules stay free of Trio.
"""
