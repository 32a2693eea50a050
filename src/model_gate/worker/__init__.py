"""The worker: a process that sends requests to one tracking server for the parent process.

The worker resolves model versions, lists their files and downloads them. Its environment has the credentials of its own
server only (`model_gate.access.environments.environment_for`). Only the worker and the demo import mlflow.
"""
