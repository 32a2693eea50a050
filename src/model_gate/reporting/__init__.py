"""Presents progress and the result of a command: the JSON report, the terminal text and the progress bars."""
