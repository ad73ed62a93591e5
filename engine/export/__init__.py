"""Exports: an account's mail of a span of time, written into a file to be downloaded."""
