"""Exports: an account's mail of a span of time, written to a file for download."""
