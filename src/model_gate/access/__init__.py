"""Access to tracking servers: hosts, worker environments, Databricks logins, and redaction of credentials."""
