"""Downloads of files from one server: HTTP clients, range requests, presigned URLs and the concurrency limit."""
