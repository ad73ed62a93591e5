"""Checks of a message before it is sent: what mail servers and mail programs will hold against it.

Each check is one rule. What a message contains is judged by pure rules; what its domain publishes, by rules that ask
name servers through `Lookups` and are pure apart from that. No link is ever fetched: that would click links which work
only once.
"""
