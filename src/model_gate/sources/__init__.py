"""Where files come from: directories on this machine, and tracking servers through worker processes."""
