"""Webhook endpoints: which events each one posts, to where, and what becomes of a post that fails."""
