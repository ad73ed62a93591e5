"""The schema of the journal, as the list of steps that made it.

A step is never changed once released; the next one is added below it. `PRAGMA user_version` counts the steps applied.
Times are seconds since 1970 UTC; JSON columns hold bytes; a `state` column holds the words of
`model/message_states.py` or `model/account_states.py`.

If the rows of a table belong to an account, a mailbox, a webhook endpoint or a message, a trigger removes them with it,
so the code that deletes the parent need not name the table. Only bodies are dropped by name (`bodies.drop`), since a
file may have to be deleted too.
"""

from engine.store.first_migrations import FIRST

MIGRATIONS: tuple[str, ...] = (
    *FIRST,
    """
    ALTER TABLE mailbox ADD COLUMN watched INTEGER NOT NULL DEFAULT 1;  -- 0: only for the ids of its messages
    ALTER TABLE mailbox ADD COLUMN delimiter TEXT;  -- separates the levels of its path; NULL: nothing does
    """,
    """
    CREATE TABLE form (
        nonce TEXT PRIMARY KEY,             -- of a link to the form in which people connect a mailbox
        expires REAL NOT NULL,
        probes INTEGER NOT NULL DEFAULT 0,  -- how often servers were asked with it
        used REAL                           -- when it connected an account; NULL: not yet
    ) WITHOUT ROWID;
    CREATE INDEX form_expires ON form (expires);
    CREATE TABLE sign_in (
        state TEXT PRIMARY KEY,             -- SHA-256 of the `state` sent to the OAuth2 provider, hex
        form TEXT NOT NULL,                 -- nonce of the link it was begun with
        record TEXT NOT NULL,               -- JSON, sealed by the vault
        expires REAL NOT NULL,
        used INTEGER NOT NULL               -- 1: a sign-in has come back with it
    );
    CREATE INDEX sign_in_of_form ON sign_in (form);
    CREATE INDEX sign_in_expires ON sign_in (expires);
    """,
    """
    CREATE TABLE mailbox_requested (  -- messages that a request has put into a mailbox, until they are announced
        mailbox INTEGER NOT NULL REFERENCES mailbox (id) ON DELETE CASCADE,
        uid INTEGER NOT NULL,
        PRIMARY KEY (mailbox, uid)
    ) WITHOUT ROWID;
    """,
    """
    ALTER TABLE mailbox ADD COLUMN mailbox_id TEXT;  -- the server's own id (RFC 8474); NULL: it does not say
    """,
    """
    ALTER TABLE bounce ADD COLUMN notice TEXT;  -- id of the message that told of it; NULL: not kept
    """,
    """
    CREATE TABLE export (
        id TEXT PRIMARY KEY,
        account TEXT NOT NULL,
        status TEXT NOT NULL,
        wanted TEXT NOT NULL,    -- JSON: what was asked for
        progress TEXT NOT NULL,  -- JSON: how far it has come
        created REAL NOT NULL,
        expires REAL NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX export_of_account ON export (account, created);
    CREATE TRIGGER export_goes_with_account AFTER DELETE ON account BEGIN
        DELETE FROM export WHERE account = OLD.id;
    END;
    """,
    """
    CREATE TABLE sent_draft (     -- drafts that were submitted, until they are gone from their folder
        message INTEGER PRIMARY KEY REFERENCES message (id) ON DELETE CASCADE,
        account TEXT NOT NULL REFERENCES account (id) ON DELETE CASCADE,
        mailbox INTEGER NOT NULL REFERENCES mailbox (id) ON DELETE CASCADE,
        uid INTEGER NOT NULL,
        copied INTEGER NOT NULL DEFAULT 0,    -- 1: the engine has filed a copy of the message
        attempts INTEGER NOT NULL DEFAULT 0,
        next_at REAL,                         -- when it is to go; NULL: its message is not sent yet
        UNIQUE (mailbox, uid)
    );
    CREATE INDEX sent_draft_due ON sent_draft (account, next_at);
    """,
    """
    ALTER TABLE oauth_grant ADD COLUMN given TEXT;  -- SHA-256 of the refresh token that it began with; NULL: unknown
    """,
    """
    CREATE TABLE gateway (
        id TEXT PRIMARY KEY,
        record TEXT NOT NULL,     -- JSON, with its password sealed by the vault
        created REAL NOT NULL,
        deliveries INTEGER NOT NULL DEFAULT 0,
        last_use REAL,            -- when it took a message; NULL: never
        last_error TEXT           -- JSON; NULL: none since it last worked
    ) WITHOUT ROWID;
    ALTER TABLE message ADD COLUMN gateway TEXT;  -- it goes through; NULL: by its account's own server
    CREATE INDEX message_of_gateway ON message (gateway, next_at) WHERE ended IS NULL AND gateway IS NOT NULL;
    """,
    """
    CREATE TABLE blocked (          -- who gets no mail of a list; an unsubscription outlives the account
        list TEXT NOT NULL COLLATE NOCASE,
        address TEXT NOT NULL,      -- in lower case
        scope TEXT NOT NULL,        -- '': whoever sends to the list; else the only account that it counts for
        recipient TEXT NOT NULL,    -- the address as it was given
        account TEXT NOT NULL,      -- whose mail it is about
        message_id TEXT,            -- of the mail whose link was used; NULL: a request
        source TEXT NOT NULL,
        reason TEXT NOT NULL,
        remote_address TEXT,
        user_agent TEXT,
        created REAL NOT NULL,
        PRIMARY KEY (list, address, scope)
    ) WITHOUT ROWID;
    CREATE INDEX blocked_of_scope ON blocked (scope) WHERE scope != '';
    CREATE TRIGGER blocked_goes_with_account AFTER DELETE ON account BEGIN
        DELETE FROM blocked WHERE scope = OLD.id AND scope != '';
    END;
    """,
    """
    ALTER TABLE message ADD COLUMN eight_bit INTEGER NOT NULL DEFAULT 0;  -- 1: only a server with 8BITMIME can take it
    ALTER TABLE message ADD COLUMN dsn TEXT;  -- JSON: the delivery reports asked for; NULL: none
    """,
    """
    CREATE TABLE template (
        id TEXT PRIMARY KEY,
        account TEXT,             -- NULL: of all accounts
        name TEXT NOT NULL,
        description TEXT,
        format TEXT NOT NULL,     -- html or markdown
        content TEXT NOT NULL,    -- JSON: subject, text, html, previewText
        created REAL NOT NULL,
        updated REAL
    ) WITHOUT ROWID;
    CREATE INDEX template_of_account ON template (account, created);
    CREATE TRIGGER template_goes_with_account AFTER DELETE ON account BEGIN
        DELETE FROM template WHERE account = OLD.id;
    END;
    """,
    """
    CREATE TABLE follow_up (      -- what is to happen in a folder once a message is sent
        message INTEGER NOT NULL REFERENCES message (id) ON DELETE CASCADE,
        what TEXT NOT NULL,       -- 'draft': the submitted draft goes; 'answered', 'forwarded': a message is marked
        account TEXT NOT NULL REFERENCES account (id) ON DELETE CASCADE,
        mailbox INTEGER NOT NULL REFERENCES mailbox (id) ON DELETE CASCADE,
        uid INTEGER NOT NULL,
        copied INTEGER NOT NULL DEFAULT 0,    -- 1: the engine has filed a copy of the message
        attempts INTEGER NOT NULL DEFAULT 0,
        next_at REAL,                         -- when it is due; NULL: its message is not sent yet
        PRIMARY KEY (message, what)
    ) WITHOUT ROWID;
    CREATE INDEX follow_up_due ON follow_up (account, next_at);
    CREATE UNIQUE INDEX follow_up_draft ON follow_up (mailbox, uid) WHERE what = 'draft';
    CREATE INDEX follow_up_mailbox ON follow_up (mailbox);
    INSERT INTO follow_up SELECT message, 'draft', account, mailbox, uid, copied, attempts, next_at FROM sent_draft;
    DROP TABLE sent_draft;
    """,
    """
    CREATE TABLE person (             -- who may sign in to the pages
        id INTEGER PRIMARY KEY,
        name TEXT NOT NULL UNIQUE COLLATE NOCASE,
        role TEXT NOT NULL,           -- owner, operator or reader
        password TEXT,                -- scrypt, with its parameters; NULL: none
        totp TEXT,                    -- the key of one-time codes, sealed by the vault; NULL: none
        totp_step INTEGER NOT NULL DEFAULT 0,  -- that of the last code taken, so that none is taken twice
        created REAL NOT NULL
    );
    CREATE TABLE web_session (
        hash TEXT PRIMARY KEY,        -- SHA-256 of the cookie, hex
        person INTEGER NOT NULL REFERENCES person (id) ON DELETE CASCADE,
        created REAL NOT NULL,
        seen REAL NOT NULL,
        address TEXT NOT NULL,
        agent TEXT NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX web_session_of_person ON web_session (person);
    CREATE TABLE entry_link (         -- one-time links at which a person chooses a password
        hash TEXT PRIMARY KEY,        -- SHA-256 of its key, hex
        person INTEGER REFERENCES person (id) ON DELETE CASCADE,  -- NULL: for someone new
        role TEXT NOT NULL,
        expires REAL NOT NULL
    ) WITHOUT ROWID;
    """,
    """
    -- What pages of the outbox read: the state beside the due time, and messages by a recipient.
    DROP INDEX message_open;
    CREATE INDEX message_open ON message (account, next_at, state) WHERE ended IS NULL;
    CREATE INDEX recipient_by_address ON recipient (address COLLATE NOCASE);
    """,
    """
    CREATE TABLE passkey (
        id TEXT PRIMARY KEY,          -- the credential's, base64url
        person INTEGER NOT NULL REFERENCES person (id) ON DELETE CASCADE,
        origin TEXT NOT NULL,         -- scheme, host and port of the pages at which it was made
        public_key BLOB NOT NULL,     -- COSE
        sign_count INTEGER NOT NULL,  -- the authenticator's at the last use; 0: it keeps none
        name TEXT NOT NULL,
        created REAL NOT NULL,
        used REAL                     -- NULL: never
    ) WITHOUT ROWID;
    CREATE INDEX passkey_of_person ON passkey (person);
    """,
    """
    ALTER TABLE person ADD COLUMN subject TEXT;  -- issuer and subject of one who signs in at a provider; NULL: none
    CREATE UNIQUE INDEX person_of_subject ON person (subject) WHERE subject IS NOT NULL;
    """,
    """
    -- Pages of the outbox over all accounts, in their order.
    CREATE INDEX message_open_by_state ON message (state, next_at) WHERE ended IS NULL;
    CREATE INDEX message_ended_newest ON message (state, id) WHERE ended IS NOT NULL;
    """,
    """
    ALTER TABLE token ADD COLUMN permissions TEXT;     -- JSON: what it may do and touch, NULL all that its scopes allow
    ALTER TABLE token ADD COLUMN restrictions TEXT;    -- JSON: from where and how often it may be used, NULL none
    ALTER TABLE token ADD COLUMN ip TEXT;              -- whom it was issued for, as its issuer said
    ALTER TABLE token ADD COLUMN remote_address TEXT;  -- from where it was issued
    ALTER TABLE token ADD COLUMN metadata TEXT;        -- its issuer's; up to 1 MiB, so no look-up reads it
    CREATE TABLE token_use (                           -- the last use of each
        token TEXT PRIMARY KEY REFERENCES token (hash) ON DELETE CASCADE,
        time REAL NOT NULL,
        address TEXT                                   -- NULL: unknown
    ) WITHOUT ROWID;
    CREATE TABLE token_request (                       -- the latest requests with each: none that the audit record has
        id INTEGER PRIMARY KEY,
        token TEXT NOT NULL,                           -- its public id, as in the audit record
        time REAL NOT NULL,
        address TEXT,
        method TEXT NOT NULL,
        path TEXT NOT NULL,
        action TEXT NOT NULL,
        affected TEXT NOT NULL,                        -- the group
        account TEXT,
        refusal TEXT                                   -- why it was refused; NULL: it was allowed
    );
    CREATE INDEX token_request_of_token ON token_request (token, id);
    CREATE INDEX token_request_time ON token_request (time);
    """,
    """
    -- What metrics count of held messages, however many there are.
    CREATE INDEX message_interrupted ON message (id) WHERE state = 'held' AND interruptions >= 10;
    """,
    """
    CREATE TABLE unfinished_change (  -- begun at the mail server by requests, until the result is stored
        id INTEGER PRIMARY KEY,
        account TEXT NOT NULL REFERENCES account (id) ON DELETE CASCADE,
        change TEXT NOT NULL          -- JSON: unfinished_changes.Unfinished
    );
    CREATE INDEX unfinished_change_of_account ON unfinished_change (account);
    """,
    """
    CREATE TABLE quota_use (              -- transactions that count against the limits of an account; kept for a day
        id INTEGER PRIMARY KEY,
        account TEXT NOT NULL REFERENCES account (id) ON DELETE CASCADE,
        message INTEGER NOT NULL,
        attempt INTEGER NOT NULL,         -- its number
        at REAL NOT NULL,
        boot TEXT NOT NULL,               -- which start of the machine `uptime` is counted from; '': unknown
        uptime REAL NOT NULL,             -- seconds
        recipients INTEGER NOT NULL,
        open INTEGER NOT NULL             -- 1: no reply is recorded
    );
    CREATE INDEX quota_use_of_account ON quota_use (account, message);
    CREATE TABLE quota_closed (           -- accounts from which the provider takes no mail for a while
        account TEXT PRIMARY KEY REFERENCES account (id) ON DELETE CASCADE,
        at REAL NOT NULL,
        boot TEXT NOT NULL,
        uptime REAL NOT NULL,
        seconds REAL NOT NULL,            -- for how long, from then on
        text TEXT NOT NULL                -- what it said
    ) WITHOUT ROWID;
    """,
    """
    CREATE TABLE suppressed (             -- who gets no mail at all
        scope TEXT NOT NULL,              -- '': of anyone; else the only account that it counts for
        address TEXT NOT NULL,            -- in lower case
        recipient TEXT NOT NULL,          -- the address as it was given
        reason TEXT NOT NULL,
        source TEXT NOT NULL,
        evidence INTEGER,                 -- the number of the event that told it; NULL: a request
        created REAL NOT NULL,
        expires REAL,                     -- NULL: never
        PRIMARY KEY (scope, address)
    ) WITHOUT ROWID;
    CREATE INDEX suppressed_by_address ON suppressed (address, scope);
    CREATE TRIGGER suppressed_goes_with_account AFTER DELETE ON account BEGIN
        DELETE FROM suppressed WHERE scope = OLD.id AND scope != '';
    END;
    """,
    """
    CREATE TABLE reply (                  -- to messages that were sent; announced once
        message INTEGER NOT NULL,         -- lives as long as this message's record
        reply TEXT NOT NULL,              -- its Message-ID; without one, what else identifies it
        event INTEGER NOT NULL,           -- the number of the event that told it
        at REAL NOT NULL,
        PRIMARY KEY (message, reply)
    ) WITHOUT ROWID;
    CREATE TRIGGER reply_goes_with_message AFTER DELETE ON message BEGIN
        DELETE FROM reply WHERE message = OLD.id;
    END;
    """,
    """
    ALTER TABLE message ADD COLUMN if_suppressed TEXT NOT NULL DEFAULT 'skip';  -- or fail, or send
    """,
    """
    ALTER TABLE attempt ADD COLUMN counted INTEGER NOT NULL DEFAULT 0;  -- 1: against the limits of its account
    UPDATE attempt SET counted = 1 WHERE EXISTS (
        SELECT 1 FROM quota_use u WHERE u.message = attempt.message AND u.attempt = attempt.number
    );
    """,
    """
    CREATE TABLE timeline (               -- what happened to a message apart from its attempts and replies
        message INTEGER NOT NULL,         -- lives as long as this message's record
        number INTEGER NOT NULL,          -- from 1, in the order in which it happened
        at REAL NOT NULL,
        what TEXT NOT NULL,               -- the name of its event, or a word of `store/timeline.py`
        seq INTEGER NOT NULL,             -- the number of its event; without one, of the last event before it
        told INTEGER NOT NULL,            -- 1: `seq` is its event
        address TEXT,                     -- the recipient it is about; NULL: not about one
        detail TEXT,                      -- JSON: what is known apart from the event
        PRIMARY KEY (message, number)
    ) WITHOUT ROWID;
    CREATE TRIGGER timeline_goes_with_message AFTER DELETE ON message BEGIN
        DELETE FROM timeline WHERE message = OLD.id;
    END;
    INSERT INTO timeline (message, number, at, what, seq, told, address, detail)
        SELECT message, row_number() OVER (PARTITION BY message ORDER BY at, address), at,
            CASE action WHEN 'complaint' THEN 'messageComplaint' ELSE 'messageBounce' END, 0, 0, address,
            json_object('action', action, 'status', status, 'response', response)
        FROM bounce;
    """,
    """
    CREATE TABLE delivery_figure (        -- how mail fared: numbers of recipients
        hour INTEGER NOT NULL,            -- since 1970; the first hour of an old day stands for the day
        account TEXT NOT NULL,            -- it may be removed since
        domain TEXT NOT NULL,             -- of the recipients; '': those beyond the most of an hour
        outcome TEXT NOT NULL,
        n INTEGER NOT NULL,
        PRIMARY KEY (hour, account, domain, outcome)
    ) WITHOUT ROWID;
    """,
    """
    CREATE TABLE sandbox_step (           -- what the sandbox does next for an account
        account TEXT NOT NULL REFERENCES account (id) ON DELETE CASCADE,
        id TEXT NOT NULL,
        place INTEGER NOT NULL,           -- in their order
        step BLOB NOT NULL,               -- JSON: sandbox.script.ScriptStep
        PRIMARY KEY (account, id)
    ) WITHOUT ROWID;
    CREATE TABLE sandbox_time (           -- accounts for which time was moved forward
        account TEXT PRIMARY KEY REFERENCES account (id) ON DELETE CASCADE,
        ahead REAL NOT NULL,              -- seconds to pass still
        passed REAL NOT NULL,             -- seconds that have passed so, in all
        at REAL NOT NULL                  -- when they last did; attempts before count against no limit
    ) WITHOUT ROWID;
    CREATE TABLE sandbox_request (        -- the idempotency keys of the last requests for scripts
        id INTEGER PRIMARY KEY,
        account TEXT NOT NULL REFERENCES account (id) ON DELETE CASCADE,
        key TEXT NOT NULL,
        fingerprint BLOB NOT NULL,        -- SHA-256 of the request
        UNIQUE (account, key)
    );
    """,
)
