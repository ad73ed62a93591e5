"""Seeded simulation: the whole engine, its providers, callers and misfortunes, all from one number."""
