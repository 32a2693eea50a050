# Databricks notebook source
# MAGIC %md
# MAGIC # Audit many model versions
# MAGIC Runs the gates of a gates file on this cluster, and appends a row for each gate to a table. A gate whose newest
# MAGIC row still holds is not run again, so an interrupted audit goes on.
# MAGIC
# MAGIC The cluster needs the package `model-gate`, and the logins to the tracking servers as its environment variables.
# MAGIC `PROD_MLFLOW_TRACKING_URI=https://mlflow.example.com` and
# MAGIC `PROD_MLFLOW_TRACKING_TOKEN={{secrets/model-gate/prod-token}}` declare `server: prod`. For models of a
# MAGIC workspace, set `DATABRICKS_HOST` and the login of a service principal, and write `host: databricks`.

# COMMAND ----------

dbutils.widgets.text("1 gates", "gates.yaml", "Gates file")
dbutils.widgets.text("2 table", "", "Table of the rows")
dbutils.widgets.dropdown("3 require", "as in the file", ["as in the file", "identical", "equivalent"], "Require")
dbutils.widgets.text("4 jobs", "4", "Gates of a task at a time")

# COMMAND ----------

from model_gate.spark import audit_to_table

require = dbutils.widgets.get("3 require")
rows = audit_to_table(
    spark,
    dbutils.widgets.get("1 gates"),
    dbutils.widgets.get("2 table"),
    jobs=int(dbutils.widgets.get("4 jobs")),
    **({} if require == "as in the file" else {"require": require}),
)
display(rows.select("name", "status", "passed", "heading", "reason", "remedy", "seconds").orderBy("passed", "name"))

# COMMAND ----------

# The error fails a job that runs this notebook.
gates, failed = rows.count(), rows.where("NOT passed").count()
if failed:
    raise RuntimeError(f"Model Gate: {failed} of {gates} gates did not pass")
dbutils.notebook.exit("passed")
