"""Strict readers for text formats: YAML without duplicate keys, and JSON Schema validation."""
