"""What all operations share and none owns: from the bytes of a request to its handler, and from its answer to bytes.

Nothing here knows a resource. What an operation takes and answers it says itself (`engine.http.operation`).
"""
