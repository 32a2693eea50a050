"""The process that talks to one tracking server: the only part of Model Gate that imports mlflow.

The parent starts it with an environment that holds this server's credentials and nothing of the other's
(`model_gate.access.hosts.environment_for`), and asks three things: resolve, list, fetch.
"""
