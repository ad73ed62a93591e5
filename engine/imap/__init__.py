"""The IMAP client: a pure protocol machine and the Trio session that drives it.

`tokens`, `responses`, `commands`, `utf7`, `mailboxes` and `protocol` turn bytes into typed responses and commands into
bytes without touching the network or a clock; `session` adds the connection, the time limits and IDLE. Nothing that a
server sends can crash, hang or exhaust the process: a dangerous violation of the protocol, or of `limits`, raises
`ProtocolError`. This file imports nothing, so that the pure modules stay free of Trio.
"""
