"""The HTTP machinery that all operations share: from the bytes of a request to its handler and back.

Nothing here knows a resource. Each operation declares its own parameters and answers (`engine.http.operation`).
"""
