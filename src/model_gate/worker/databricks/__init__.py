"""The parts of a worker that talk to a Databricks workspace."""
