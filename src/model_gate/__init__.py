"""Model Gate: are these two MLflow models the same?"""

__version__ = "0.1.0"
