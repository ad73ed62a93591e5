"""The groups in which the documentation shows the operations, in its order, and what each is about (Markdown)."""

TAGS = {
    "Account": "An account is what you register: the IMAP and SMTP servers of one email account, and how to log in.",
    "Mailbox": "Folders are read from the mail server. Creating, renaming and deleting them raises `mailboxNew` and "
    '`mailboxDeleted` at once, with `source: "api"`.',
    "Message": "Messages are read from the mail server, over connections of their own, so a long download does not "
    "hold up a list. `x-ee-timeout` says how long to wait for the server.",
    "Export": "An export is a file of the messages that an account received within a span of time: gzipped JSON, one "
    "message per line. The engine removes it after a day (`[export]` of config.toml).",
    "Submit": "The engine answers a submission once the message is on disk. Events (`docs/events.md#messages`) with "
    "its `queueId` report what happens then. In a sandbox account, the recipient's address scripts the outcome "
    "(`docs/api.md#sandbox-recipients`).",
    "Templates": "A template is stored message content, with Handlebars where messages differ. A submission names it "
    "as `template` and gives its parameters in `render` (`docs/templates.md`).",
    "Outbox": "The outbox lists every message from its submission until the engine removes its record.",
    "SMTP Gateway": "A gateway is an SMTP server of yours that can send messages of any account: those submitted with "
    "its id as `gateway`, also with a token for one account. If a gateway fails, only these wait. Only tokens for all "
    "accounts see gateways. Passwords are sealed and shown as `******`.",
    "Blocklists": "A blocklist names the recipients who no longer get mail of a list: those who unsubscribed, and "
    "those that a request added (`docs/lists-and-tracking.md`).",
    "OAuth2 Applications": "An OAuth2 app is what you registered at a provider's console, so that people can sign in "
    "to their mailboxes through it. Only tokens for all accounts see apps. Secrets are sealed and shown as `******`.",
    "Sandbox": "The sandbox catches everything that its accounts send, to any address. The engine keeps the newest "
    "messages in memory until it stops.",
    "Settings": "These settings are for the whole engine; a change applies at once.",
    "Token": "A token is what a program signs in with. Permissions and restrictions narrow it "
    "(`docs/operate.md#tokens`).",
    "Webhooks": "What webhooks do, sign and promise is in `docs/events.md#webhooks`.",
    "Events": "The rules, the streams and every event are in `docs/events.md`.",
}
