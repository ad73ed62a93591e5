"""OAuth2 sign-in to mailboxes: providers, apps, the authorization flow, token requests and the token keeper."""
