"""Imports what another product has stored, in one commit."""
