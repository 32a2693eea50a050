"""What users write, command-line options and compare files, and its conversion to requests."""
