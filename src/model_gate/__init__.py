"""Model Gate compares two MLflow models and gates pull requests."""

__version__ = "0.1.0"
