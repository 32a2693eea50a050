"""What a user may write: command-line options and compare files, turned into requests."""
