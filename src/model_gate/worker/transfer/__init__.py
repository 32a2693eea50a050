"""Downloads files from one server: HTTP clients, byte ranges, presigned URLs and the limit for concurrent requests."""
