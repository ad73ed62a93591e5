"""The life of an accepted message: schedule, lanes, attempts, outcomes."""
