"""Compares two models: lists them, fetches files, and lets `filecmp` decide each pair."""
