"""The SMTP client: hands one message to one server and returns an exact verdict for each recipient.

`replies`, `protocol`, `dots` and `verdict` turn bytes into replies, commands into bytes and replies into verdicts
without touching the network or a clock; `session` adds the connection, the time limits and the login. Only a reply that
was read makes a message accepted or rejected. A connection that breaks between the final dot and its reply gives the
verdict `doubt`, never a guess. This file imports nothing, so that the pure modules stay free of Trio.
"""
