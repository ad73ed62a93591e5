"""Mailbox Engine: a self-hosted email API."""
