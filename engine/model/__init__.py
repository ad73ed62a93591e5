"""The stored values and the types that decisions are based on. Pure: no SQLite, no Trio, none of the API's rules.

`engine.schema` defines requests; they are converted into these types, in that direction only.
"""
