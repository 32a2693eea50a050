"""Text formats: YAML without duplicate keys, JSON Schema validation, and globs."""
