"""Pages for people: the form, the pages of `/admin`, the documents, and what links in mail lead to.

Views are thin: they do what the API does, through the same functions.
"""
