"""What is stored and decided on, *pure*: it knows neither SQLite nor Trio, and none of the API's rules.

What a request may hold stands in `engine.schema`; what becomes of it is made beside the API, one way.
"""
