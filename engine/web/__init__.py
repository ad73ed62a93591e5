"""Pages for people: the form in which they connect their mailbox, with templates and style but no scripts.

Views are thin: they do what the API does, through the same functions.
"""
