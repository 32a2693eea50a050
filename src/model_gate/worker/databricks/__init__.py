"""Login, registry client, artifact reader and errors of a worker whose server is a Databricks workspace."""
