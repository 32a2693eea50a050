"""The worker: the process that talks to one tracking server. Only the worker and the demo import mlflow.

The parent starts a worker with an environment that holds the credentials of this server only
(`model_gate.access.environments.environment_for`). The worker resolves versions, lists files and downloads them.
"""
