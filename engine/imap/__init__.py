"""The IMAP client room: a pure protocol machine and the Trio session that drives it.

`tokens`, `responses`, `commands`, `utf7`, `mailboxes` and `protocol` turn bytes into typed responses and commands into
bytes without touching network or clock; `session` adds the connection, the time limits and IDLE. Nothing a server sends
may crash, hang or exhaust the process: every violation of the protocol or of `limits` is one `ProtocolError`.
This file imports nothing, so that the pure modules stay free of Trio.
"""
