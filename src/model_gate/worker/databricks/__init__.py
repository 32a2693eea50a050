"""The parts of a worker that send requests to a Databricks workspace."""
