# Databricks notebook source
# MAGIC %md
# MAGIC # Compare two model versions
# MAGIC Compares a tested version with a promoted one. Both may be in this workspace, or one of them in another.
# MAGIC
# MAGIC The cluster needs the package `model-gate`: `%pip install` its wheel from a volume or the workspace.
# MAGIC The host `databricks` is this workspace with your own login. Another workspace is `databricks://PROFILE`. Its
# MAGIC profile is in a secret, named as `SCOPE/KEY`: the text of a `.databrickscfg`.

# COMMAND ----------

dbutils.widgets.text("1 host", "databricks", "1: host")
dbutils.widgets.text("1 model", "", "1: registered model")
dbutils.widgets.text("1 version_or_stage", "latest", "1: version, stage or @alias")
dbutils.widgets.text("2 host", "databricks", "2: host")
dbutils.widgets.text("2 model", "", "2: registered model")
dbutils.widgets.text("2 version_or_stage", "latest", "2: version, stage or @alias")
dbutils.widgets.text("3 profiles", "", "Secret with profiles (SCOPE/KEY, optional)")
dbutils.widgets.dropdown("4 compare_run_models", "yes", ["yes", "no"], "Compare run models")
dbutils.widgets.dropdown("5 compare_reg_models", "yes", ["yes", "no"], "Compare registry models")
dbutils.widgets.dropdown("6 require", "identical", ["identical", "equivalent"], "Require")

# COMMAND ----------

import json
import tempfile

from model_gate.notebook import run_gate

config = {
    f"tracking_server_{number}": {
        key: dbutils.widgets.get(f"{number} {key}") for key in ("host", "model", "version_or_stage")
    }
    for number in (1, 2)
}
config["compare_run_models"] = dbutils.widgets.get("4 compare_run_models") == "yes"
config["compare_reg_models"] = dbutils.widgets.get("5 compare_reg_models") == "yes"
config["require"] = dbutils.widgets.get("6 require")
scope, _, key = dbutils.widgets.get("3 profiles").partition("/")
profiles = dbutils.secrets.get(scope, key) if key else ""

with tempfile.NamedTemporaryFile("w", suffix=".yaml", encoding="utf-8") as file:
    # Every JSON document is valid YAML.
    json.dump(config, file)
    file.flush()
    verdict = run_gate(dbutils, ["compare", f"--config-file={file.name}"], profiles)
print(verdict.text)

# COMMAND ----------

# The error fails a job that runs this notebook.
if not verdict.passed:
    raise RuntimeError(f"Model Gate: {verdict.report.get('status', 'error')}")
dbutils.notebook.exit(verdict.report["status"])
