"""Webhook endpoints: which events each one posts, where to, and what happens after a failed post."""
