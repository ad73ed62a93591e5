"""The nouns of the HTTP API as msgspec Structs: what a request may hold, what an answer and an event do hold.

Data only: every field says what it means, what absent means and what it may be, and the OpenAPI document is made from
exactly that. Names are camelCase on the wire. A request refuses unknown members and takes `null` only where a type says
so; an optional member that was not given is `UNSET` where no value means the same. What a type cannot say (an address
is well formed, a line has no line break) is named by a `Check`, and `engine.decoding.decode` runs it.
"""
