# Databricks notebook source
# MAGIC %md
# MAGIC # Check a model version
# MAGIC Checks that the registry's own copy of a version is the model that its run logged.
# MAGIC
# MAGIC The cluster needs the package `model-gate`: `%pip install` its wheel from a volume or the workspace.
# MAGIC The notebook reads with your own permissions: *Can Read* on the model and the experiment, or in Unity Catalog
# MAGIC `EXECUTE` on the model, `USE SCHEMA` and `USE CATALOG`.

# COMMAND ----------

dbutils.widgets.text("1 model", "", "Registered model")
dbutils.widgets.text("2 version_or_stage", "latest", "Version, stage or @alias")
dbutils.widgets.text("3 native_model", "", "Native model (optional)")
dbutils.widgets.dropdown("4 require", "identical", ["identical", "equivalent"], "Require")

# COMMAND ----------

from model_gate.notebook import run_gate

arguments = [
    "check",
    "--host=databricks",
    f"--model={dbutils.widgets.get('1 model')}",
    f"--version-or-stage={dbutils.widgets.get('2 version_or_stage')}",
    f"--native-model={dbutils.widgets.get('3 native_model')}",
    f"--require={dbutils.widgets.get('4 require')}",
]
verdict = run_gate(dbutils, arguments)
print(verdict.text)

# COMMAND ----------

# The error fails a job that runs this notebook.
if not verdict.passed:
    raise RuntimeError(f"Model Gate: {verdict.report.get('status', 'error')}")
dbutils.notebook.exit(verdict.report["status"])
