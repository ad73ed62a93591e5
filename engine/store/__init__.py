"""The journal on disk: one SQLite file with one writer. Each noun it stores has one module here."""
