"""From an accepted message to its end: schedule, lanes, attempts, outcomes."""
