"""The groups in which the documentation shows the operations, in its order, and what each is about (Markdown)."""

TAGS = {
    "Account": "An account is what you register: the IMAP and SMTP servers of one email account, and how to log in.",
    "Mailbox": "Folders are read from the mail server. Creating, renaming and deleting them raises `mailboxNew` and "
    '`mailboxDeleted` at once, with `source: "api"`.',
    "Message": "Messages are read from the mail server, over connections of their own: a long download holds up no "
    "list. `x-ee-timeout` says how long to wait for the server.",
    "Export": "An export is a file with an account's messages of a span of time: JSON, compressed with gzip, one "
    "message a line. It is removed after a day (`[export]` of config.toml).",
    "Submit": "The engine answers a submission once the message is on disk. What happens to it then comes as events "
    "(`docs/events.md#messages`) with its `queueId`. In a sandbox account, the recipient's address scripts the outcome "
    "(`docs/api.md#sandbox-recipients`).",
    "Templates": "A template is the content of messages, stored, with Handlebars where they differ. A submission names "
    "it as `template` and gives its parameters in `render` (`docs/templates.md`).",
    "Outbox": "The outbox lists every message from its submission until the engine removes its record.",
    "SMTP Gateway": "A gateway is an SMTP server of yours through which messages of any account may go: those that are "
    "submitted with its id as `gateway`, also with a token for one account. What is wrong with a gateway holds only "
    "these. Only tokens for all accounts see gateways. Passwords are sealed, and read `******`.",
    "Blocklists": "A blocklist names the recipients who get no mail of a list any more: those who unsubscribed, and "
    "those that a request has added (`docs/lists-and-tracking.md`).",
    "OAuth2 Applications": "An OAuth2 app is what you registered at a provider's console, so that people can sign in "
    "to their mailboxes through it. Only tokens for all accounts see apps. Secrets are sealed, and read `******`.",
    "Sandbox": "What sandbox accounts have sent is caught, whether its recipients are the sandbox's or not. The newest "
    "messages are kept, in memory, until the engine stops.",
    "Settings": "These settings are for the whole engine; a change applies at once.",
    "Token": "Tokens are issued and revoked on the command line (`docs/operate.md#tokens`).",
    "Webhooks": "What webhooks do, sign and promise is in `docs/events.md#webhooks`.",
    "Events": "The rules, the streams and every event are in `docs/events.md`.",
}
