"""An emulator of a Databricks workspace, as far as MLflow's client and Model Gate talk to one.

One process is one workspace, with its own tokens and its own content. It serves what a directory with a
`workspace.json` describes, and writes down every request. Run it with `python -m emulator DIRECTORY`.

It was written from MLflow's and the Databricks SDK's client source: requests are answered in the shapes that these
read. What a live workspace does beside them is not imitated.
"""
