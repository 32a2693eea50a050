"""Compares two models: lists their files, fetches them, and compares each pair with `filecmp`."""
