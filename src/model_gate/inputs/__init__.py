"""Converts the input of users, that is, command-line options and compare files, to requests."""
