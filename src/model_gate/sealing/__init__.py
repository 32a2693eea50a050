"""Seals a model, and compares a model with a seal: fetches each file once, hashes it and drops it."""
