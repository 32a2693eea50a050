"""Presents an outcome: the JSON report, the terminal text, and progress."""
