"""The registered mailboxes: their records, their states, and the tasks that keep each of them connected."""
