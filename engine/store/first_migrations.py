"""The first steps of the schema, which never change; the others are in `migrations.py`."""

FIRST = (
    """
    CREATE TABLE account (
        id TEXT PRIMARY KEY,
        record BLOB NOT NULL,               -- JSON, secrets sealed by the vault
        created REAL NOT NULL,
        initialized INTEGER NOT NULL DEFAULT 0,  -- 1 once the first sync has ended
        state TEXT NOT NULL DEFAULT 'init',
        last_error BLOB,                    -- JSON of the error last announced, NULL when all is well
        smtp_status BLOB,                   -- JSON of the last SMTP outcome
        sync_time REAL
    ) WITHOUT ROWID;

    CREATE TABLE message (
        id INTEGER PRIMARY KEY,
        queue_id TEXT NOT NULL UNIQUE,
        account TEXT NOT NULL,
        message_id TEXT NOT NULL,
        subject TEXT,
        sender TEXT NOT NULL,               -- envelope sender, '' for the null sender
        smtputf8 INTEGER NOT NULL,
        size INTEGER NOT NULL,              -- octets on the wire
        copy_path TEXT,                     -- Sent folder asked for; '' the account's own; NULL no copy
        created REAL NOT NULL,
        send_at REAL NOT NULL,
        next_at REAL,                       -- when it is due; NULL once ended
        state TEXT NOT NULL,
        attempts_made INTEGER NOT NULL DEFAULT 0,
        attempts_max INTEGER NOT NULL,
        dot_at REAL,                        -- the final dot of the try in hand may have been sent
        last_error BLOB,                    -- JSON {message, code, statusCode}
        ended REAL
    );
    CREATE INDEX message_open ON message (account, next_at) WHERE ended IS NULL;
    CREATE INDEX message_by_message_id ON message (message_id);

    CREATE TABLE recipient (
        message INTEGER NOT NULL,
        position INTEGER NOT NULL,
        address TEXT NOT NULL,
        state TEXT NOT NULL,
        code INTEGER,
        response TEXT,
        PRIMARY KEY (message, position)
    ) WITHOUT ROWID;

    CREATE TABLE body (
        message INTEGER PRIMARY KEY,
        header BLOB NOT NULL,
        bcc_header BLOB NOT NULL,           -- only in the Sent copy, never on the wire
        content BLOB,                       -- NULL when it is in the spool
        spool TEXT                          -- file name under spool/
    );

    CREATE TABLE attempt (
        message INTEGER NOT NULL,
        number INTEGER NOT NULL,
        started REAL NOT NULL,
        ended REAL,
        report BLOB,                        -- JSON: server, TLS, timings, recipients, transcript
        PRIMARY KEY (message, number)
    ) WITHOUT ROWID;

    CREATE TABLE sent_copy (
        message INTEGER PRIMARY KEY,
        account TEXT NOT NULL,
        path TEXT NOT NULL,
        tries INTEGER NOT NULL DEFAULT 0,
        next_at REAL NOT NULL
    );
    CREATE INDEX sent_copy_due ON sent_copy (account, next_at);

    CREATE TABLE event (
        seq INTEGER PRIMARY KEY,            -- gapless
        account TEXT,
        name TEXT NOT NULL,
        body BLOB NOT NULL                  -- the very bytes every channel sends
    );
    CREATE TABLE event_count (
        account TEXT NOT NULL,
        name TEXT NOT NULL,
        n INTEGER NOT NULL,
        PRIMARY KEY (account, name)
    ) WITHOUT ROWID;

    CREATE TABLE webhook_cursor (
        name TEXT PRIMARY KEY,
        seq INTEGER NOT NULL                -- the last event done with
    ) WITHOUT ROWID;

    CREATE TABLE setting (
        name TEXT PRIMARY KEY,
        value BLOB NOT NULL                 -- JSON
    ) WITHOUT ROWID;

    CREATE TABLE token (
        hash TEXT PRIMARY KEY,              -- SHA-256 of the token, hex; the token itself is nowhere
        description TEXT NOT NULL,
        scopes TEXT NOT NULL,               -- JSON list
        created REAL NOT NULL
    ) WITHOUT ROWID;
    """,
    """
    ALTER TABLE message ADD COLUMN on_doubt TEXT NOT NULL DEFAULT 'resend';  -- resend, hold or fail
    ALTER TABLE message ADD COLUMN interruptions INTEGER NOT NULL DEFAULT 0; -- ends of the process in this try
    ALTER TABLE message ADD COLUMN doubt_since REAL;    -- since when a try of it is in doubt, NULL when none is
    ALTER TABLE message ADD COLUMN expires_at REAL NOT NULL DEFAULT 0;       -- given up then if no try is possible
    UPDATE message SET expires_at = send_at + 345600;
    CREATE INDEX message_ended ON message (ended) WHERE ended IS NOT NULL;
    CREATE INDEX message_held ON message (id) WHERE state = 'held';
    CREATE INDEX message_ended_by_state ON message (state, account, id) WHERE ended IS NOT NULL;

    CREATE TABLE idempotency (
        account TEXT NOT NULL,
        key TEXT NOT NULL,
        fingerprint BLOB NOT NULL,          -- SHA-256 of what was asked for
        message INTEGER NOT NULL,           -- lives as long as this message's record
        answer BLOB NOT NULL,               -- JSON of the first answer
        PRIMARY KEY (account, key)
    ) WITHOUT ROWID;
    CREATE INDEX idempotency_of_message ON idempotency (message);

    ALTER TABLE account ADD COLUMN queue_paused INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE account ADD COLUMN files_sent INTEGER NOT NULL DEFAULT 0;    -- 1: the provider files sent mail itself

    ALTER TABLE event ADD COLUMN created REAL NOT NULL DEFAULT 0;
    UPDATE event SET created =
        (julianday(json_extract(CAST(body AS TEXT), '$.date')) - julianday('1970-01-01')) * 86400;

    CREATE TABLE mark (
        name TEXT PRIMARY KEY,              -- what the engine remembers about this folder: 'restored' ...
        value BLOB NOT NULL                 -- JSON
    ) WITHOUT ROWID;
    """,
    """
    ALTER TABLE token ADD COLUMN account TEXT;  -- the one account it is for, NULL all of them

    CREATE INDEX event_of_account ON event (account);

    CREATE TABLE consumer (
        owner TEXT NOT NULL,                -- account whose token made it, '' for a token of all accounts
        name TEXT NOT NULL,
        seq INTEGER NOT NULL,               -- everything up to this number is acknowledged
        created REAL NOT NULL,
        acked REAL,                         -- when it was last moved
        PRIMARY KEY (owner, name)
    ) WITHOUT ROWID;

    CREATE TABLE webhook (
        id TEXT PRIMARY KEY,                -- 'default' is the endpoint of the settings
        owner TEXT,                         -- account whose token set it, NULL for a token of all accounts
        record BLOB NOT NULL,               -- JSON sealed by the vault; empty for 'default'
        seq INTEGER NOT NULL,               -- every event up to here is done with, those of a line below excepted
        health BLOB NOT NULL DEFAULT '{}',  -- JSON: last error, last success
        created REAL NOT NULL,
        updated REAL NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE webhook_line (
        endpoint TEXT NOT NULL,
        account TEXT NOT NULL,              -- '' for the engine's own events
        seq INTEGER NOT NULL,               -- this account's events up to here are done with
        attempts INTEGER NOT NULL,          -- failed tries of the event after it
        since REAL,                         -- when the first of these was
        next_at REAL,                       -- when the next is due
        gone INTEGER NOT NULL DEFAULT 0,    -- 1: the account's own URL answered 410
        error TEXT,
        PRIMARY KEY (endpoint, account)
    ) WITHOUT ROWID;
    CREATE TABLE webhook_parked (
        endpoint TEXT NOT NULL,
        seq INTEGER NOT NULL,
        account TEXT NOT NULL,
        name TEXT NOT NULL,
        attempts INTEGER NOT NULL,
        reason TEXT NOT NULL,
        parked REAL NOT NULL,
        retrying INTEGER NOT NULL DEFAULT 0,
        PRIMARY KEY (endpoint, seq)
    ) WITHOUT ROWID;
    CREATE TABLE webhook_of_account (
        account TEXT PRIMARY KEY            -- its URL was set with a token of this account alone
    ) WITHOUT ROWID;
    INSERT INTO webhook (id, record, seq, health, created, updated)
        SELECT name, x'', seq, '{"started":true}', unixepoch('now'), unixepoch('now')
        FROM webhook_cursor WHERE name = 'default';
    DROP TABLE webhook_cursor;
    """,
    """
    CREATE TABLE mailbox (
        id INTEGER PRIMARY KEY AUTOINCREMENT,   -- part of message ids, so never used again
        account TEXT NOT NULL,
        path TEXT NOT NULL,
        special_use TEXT,
        uid_validity INTEGER,               -- NULL: never opened
        uid_next INTEGER,                   -- messages below it are known; NULL: the first look goes on
        modseq INTEGER,                     -- changes up to it are known; NULL: the server keeps none
        silent INTEGER NOT NULL DEFAULT 0,  -- 1: the first look announces nothing
        UNIQUE (account, path)
    );
    CREATE TABLE mailbox_message (
        mailbox INTEGER NOT NULL,
        uid INTEGER NOT NULL,
        flags TEXT NOT NULL,                -- in order, separated by spaces
        PRIMARY KEY (mailbox, uid)
    ) WITHOUT ROWID;
    CREATE TABLE mailbox_gone (
        id INTEGER PRIMARY KEY              -- a mailbox whose messages are still to be forgotten
    );

    CREATE TABLE bounce (
        message INTEGER NOT NULL,           -- lives as long as this message's record
        address TEXT NOT NULL,              -- lower case
        action TEXT NOT NULL,               -- failed, delayed ... or complaint
        status TEXT,                        -- enhanced status code
        response TEXT,
        at REAL NOT NULL,
        PRIMARY KEY (message, address)
    ) WITHOUT ROWID;
    CREATE TRIGGER bounce_goes_with_message AFTER DELETE ON message BEGIN
        DELETE FROM bounce WHERE message = OLD.id;
    END;
    """,
    """
    ALTER TABLE account ADD COLUMN refused_since REAL;  -- the login to its mailbox; NULL: it is not
    """,
    """
    -- 'imap smtp': which of its servers were named with a token for this account alone.
    ALTER TABLE account ADD COLUMN restricted TEXT NOT NULL DEFAULT '';
    """,
    """
    ALTER TABLE mailbox ADD COLUMN gone_at REAL;    -- not listed any more since then; NULL: it is
    CREATE TABLE mailbox_unreadable (
        mailbox INTEGER NOT NULL,
        uid INTEGER NOT NULL,
        question TEXT NOT NULL,             -- what the server was asked of the message
        failures INTEGER NOT NULL,          -- how often that alone ended the connection
        PRIMARY KEY (mailbox, uid, question)
    ) WITHOUT ROWID;
    """,
    """
    CREATE TABLE webhook_headers_of_account (
        account TEXT PRIMARY KEY            -- its headers were set with a token of this account alone
    ) WITHOUT ROWID;
    INSERT INTO webhook_headers_of_account (account) SELECT account FROM webhook_of_account;
    """,
    """
    ALTER TABLE token ADD COLUMN expires REAL;  -- useless from then on, NULL: never

    CREATE TABLE audit (
        id INTEGER PRIMARY KEY,             -- in the order of the changes
        time REAL NOT NULL,
        token TEXT NOT NULL,                -- its public id, or 'cli'
        address TEXT,                       -- of the client; NULL for a command
        operation TEXT NOT NULL,            -- 'account.update' ...
        object TEXT NOT NULL                -- which account, settings, token or endpoint
    );
    CREATE INDEX audit_of_token ON audit (token, id);
    """,
    """
    ALTER TABLE account ADD COLUMN heartbeat REAL;          -- seconds, as learnt; NULL: nothing was
    ALTER TABLE account ADD COLUMN heartbeat_until REAL;
    """,
    """
    ALTER TABLE account ADD COLUMN sending BLOB;  -- JSON of whether its SMTP server lets it send; NULL: not known
    """,
    """
    CREATE TABLE oauth_app (
        id TEXT PRIMARY KEY,
        record BLOB NOT NULL,               -- JSON, secrets sealed by the vault
        created REAL NOT NULL,
        updated REAL NOT NULL,
        secret_expires REAL,                -- NULL: never, or not known
        warned INTEGER,                     -- for how many days before that was warned last; NULL: it was not
        error BLOB                          -- JSON of what is wrong with the app; NULL: nothing
    ) WITHOUT ROWID;
    CREATE TABLE oauth_grant (
        account TEXT PRIMARY KEY REFERENCES account (id) ON DELETE CASCADE,
        app TEXT NOT NULL,
        user TEXT NOT NULL,                 -- who signed in
        refresh_token TEXT,                 -- all three sealed by the vault
        previous_token TEXT,                -- the refresh token before, until a token of the new one has worked
        access_token TEXT,
        scopes TEXT NOT NULL,               -- those granted, separated by spaces
        obtained REAL,                      -- when the access token was got
        expires REAL,                       -- when it expires; NULL: it does not say
        refresh_obtained REAL,
        version INTEGER NOT NULL,           -- another one at each sign-in
        asked REAL,                         -- a refresh was begun then and its answer is not known
        gone BLOB                           -- JSON of the error that ended the grant; NULL: it is good
    ) WITHOUT ROWID;
    CREATE INDEX oauth_grant_of_user ON oauth_grant (app, user COLLATE NOCASE);
    """,
    """
    -- What hangs on a row goes with it by itself. Triggers, since a foreign key would be looked up at every insert.
    CREATE TRIGGER event_count_goes_with_account AFTER DELETE ON account BEGIN
        DELETE FROM event_count WHERE account = OLD.id;
    END;
    CREATE TRIGGER idempotency_goes_with_account AFTER DELETE ON account BEGIN
        DELETE FROM idempotency WHERE account = OLD.id;
    END;
    CREATE TRIGGER sent_copy_goes_with_account AFTER DELETE ON account BEGIN
        DELETE FROM sent_copy WHERE account = OLD.id;
    END;
    CREATE TRIGGER token_goes_with_account AFTER DELETE ON account BEGIN
        DELETE FROM token WHERE account = OLD.id;
    END;
    CREATE TRIGGER consumer_goes_with_account AFTER DELETE ON account BEGIN
        DELETE FROM consumer WHERE owner = OLD.id;
    END;
    CREATE TRIGGER webhook_goes_with_account AFTER DELETE ON account BEGIN
        DELETE FROM webhook WHERE owner = OLD.id;
    END;
    CREATE TRIGGER webhook_of_account_goes_with_account AFTER DELETE ON account BEGIN
        DELETE FROM webhook_of_account WHERE account = OLD.id;
    END;
    CREATE TRIGGER webhook_headers_of_account_goes_with_account AFTER DELETE ON account BEGIN
        DELETE FROM webhook_headers_of_account WHERE account = OLD.id;
    END;
    CREATE TRIGGER mailbox_goes_with_account AFTER DELETE ON account BEGIN
        DELETE FROM mailbox WHERE account = OLD.id;
    END;

    CREATE TRIGGER mailbox_message_goes_after_mailbox AFTER DELETE ON mailbox BEGIN
        INSERT INTO mailbox_gone (id) VALUES (OLD.id);  -- there may be a million: they are swept away in small commits
    END;
    CREATE TRIGGER mailbox_unreadable_goes_with_mailbox AFTER DELETE ON mailbox BEGIN
        DELETE FROM mailbox_unreadable WHERE mailbox = OLD.id;
    END;
    CREATE TRIGGER webhook_line_goes_with_webhook AFTER DELETE ON webhook BEGIN
        DELETE FROM webhook_line WHERE endpoint = OLD.id;
    END;
    CREATE TRIGGER webhook_parked_goes_with_webhook AFTER DELETE ON webhook BEGIN
        DELETE FROM webhook_parked WHERE endpoint = OLD.id;
    END;
    CREATE TRIGGER recipient_goes_with_message AFTER DELETE ON message BEGIN
        DELETE FROM recipient WHERE message = OLD.id;
    END;
    CREATE TRIGGER attempt_goes_with_message AFTER DELETE ON message BEGIN
        DELETE FROM attempt WHERE message = OLD.id;
    END;
    CREATE TRIGGER idempotency_goes_with_message AFTER DELETE ON message BEGIN
        DELETE FROM idempotency WHERE message = OLD.id;
    END;
    """,
    """
    ALTER TABLE message ADD COLUMN proxy TEXT;          -- its own proxy's URL, sealed by the vault; NULL: none
    ALTER TABLE message ADD COLUMN local_address TEXT;  -- of this machine, to be sent from; NULL: as its account says
    CREATE INDEX message_with_proxy ON message (id) WHERE proxy IS NOT NULL;
    CREATE INDEX message_with_own_way ON message (account, next_at)
        WHERE ended IS NULL AND (proxy IS NOT NULL OR local_address IS NOT NULL);
    """,
)
