"""An emulator of the Databricks workspace APIs that MLflow and Model Gate use.

One process is one workspace with its own tokens and content. It serves the content of a directory with a
`workspace.json` and logs every request. Run it with `python -m tests.databricks.emulator DIRECTORY`.

The responses contain what the MLflow client and the Databricks SDK read. Other behavior of a live workspace is not
emulated.
"""
