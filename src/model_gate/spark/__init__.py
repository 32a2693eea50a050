"""Runs gates on a Spark cluster, such as one of Databricks: `audit` and `audit_to_table`.

The driver reads gates files and searches the registries. The executors compare the models, with credentials from their
own environment variables. Spark is imported when an audit starts.
"""

from __future__ import annotations

from model_gate.spark.frames import AuditOptions, audit, missing_rows, plan_audit, run_plan
from model_gate.spark.table import audit_to_table

__all__ = ["AuditOptions", "audit", "audit_to_table", "missing_rows", "plan_audit", "run_plan"]
