"""The sources of model files: directories on this machine, and tracking servers through worker processes."""
