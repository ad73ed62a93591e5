"""From a caller's request to a message in the queue: one path for the API, drafts, replies, merges and SMTP.

It knows no HTTP: it takes what it needs as arguments, and refuses with `Problem`, which names the member at fault.
"""
