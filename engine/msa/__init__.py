"""The SMTP door: a message handed in by SMTP becomes a submission, with the same durability as one by HTTP.

`door` listens, `session` serves one connection with the dialogue of `engine/smtp/server_protocol.py`, `reception` takes
a message in as it arrives, and `handover` submits it. The rest is what they ask: who may log in, which certificate,
which reply.
"""
