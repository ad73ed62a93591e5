"""Signing in to mailboxes with OAuth2: providers, apps, the authorization flow, token requests and the token keeper."""
