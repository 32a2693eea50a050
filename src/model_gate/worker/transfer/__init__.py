"""Downloads: HTTP clients, byte ranges, presigned URLs, and the concurrency limit of one server."""
