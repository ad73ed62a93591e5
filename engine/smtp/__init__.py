"""The SMTP client room: hands one message to one server and says exactly what became of each recipient.

`replies`, `protocol`, `dots` and `verdict` turn bytes into replies, commands into bytes and replies into verdicts
without touching network or clock; `session` adds the connection, the time limits and the login. Only a reply that was
read makes a message accepted or rejected; a connection cut between the final dot and its reply is `doubt`, never a
guess. This file imports nothing, so that the pure modules stay free of Trio.
"""
