"""The SMTP door: a message that arrives by SMTP becomes a submission, as durable as one by HTTP.

`door` listens, `session` serves one connection with the dialogue of `engine/smtp/server_protocol.py`, `reception`
receives a message as it arrives, and `handover` submits it. The other files decide who may log in, which certificate is
used, and which reply an error gets.
"""
