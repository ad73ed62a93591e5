"""Sinks: the event stream goes into brokers, each a named consumer."""
