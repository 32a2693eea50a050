"""Checks the signature of a statement, with optional packages that do all cryptography."""
