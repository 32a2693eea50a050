"""How a tracking server is reached: hosts, environments, Databricks logins, and redaction of credentials."""
