"""The demo: a wine model on two embedded MLflow registries, and four gates on it."""
