"""The journal on disk: one SQLite file, one writer, one file here for every noun it stores."""
