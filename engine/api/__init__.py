"""The HTTP API: one file per resource, and beside them what they share (validation, the OpenAPI document)."""
