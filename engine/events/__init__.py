"""Everything that tells the outside what happened, all of it read from the journal."""
