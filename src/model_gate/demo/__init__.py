"""The demo: four gates on a wine model in two embedded MLflow registries."""
