"""What the engine counts, as Prometheus reads it."""
