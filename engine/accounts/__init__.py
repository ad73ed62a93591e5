"""The registered accounts: their records, their states, and the tasks that keep them connected."""
