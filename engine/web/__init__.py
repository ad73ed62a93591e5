"""Pages for people: the form in which they connect their mailbox. Templates and style are in here; there is no script.

Views are thin: what they do is what the API does, through the same functions.
"""
