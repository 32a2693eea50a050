"""Compares small files on this machine, many at a time and in several processes."""
