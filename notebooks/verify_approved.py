# Databricks notebook source
# MAGIC %md
# MAGIC # Verify that a model version is the approved one
# MAGIC Fails unless the version has the files of its approved seal. Use it in the approval task of an MLflow 3
# MAGIC deployment job. It reads the job's parameters `model_name` and `model_version`.
# MAGIC
# MAGIC `seal` is the path of the seal that `model-gate seal` wrote when the version was approved, in a Git folder or a
# MAGIC volume that only approvers can write. `{model_name}` and `{model_version}` in the path stand for the parameters.
# MAGIC With `bundle`, the seal must be signed too, by a `public_key` or by an `identity` of an `issuer`.
# MAGIC
# MAGIC The cluster needs the package `model-gate`, with the extra `signatures` for a bundle. The notebook reads with
# MAGIC your own permissions: *Can Read* on the model, or in Unity Catalog `EXECUTE`, `USE SCHEMA` and `USE CATALOG`.

# COMMAND ----------

dbutils.widgets.text("model_name", "", "Registered model")
dbutils.widgets.text("model_version", "", "Version")
dbutils.widgets.text("seal", "seals/{model_name}.json", "Approved seal")
dbutils.widgets.text("bundle", "", "Bundle with the seal's signature (optional)")
dbutils.widgets.text("public_key", "", "Signer's public key (optional)")
dbutils.widgets.text("identity", "", "Signer's identity (optional)")
dbutils.widgets.text("issuer", "", "Signer's issuer (optional)")

# COMMAND ----------

from model_gate.notebook import run_gate

name, version = dbutils.widgets.get("model_name"), dbutils.widgets.get("model_version")
if not version.isdecimal():
    # A stage or an alias can move to another version while the job runs.
    raise RuntimeError(f"Model Gate: model_version must be a number: {version!r}")
if "/" in name:
    # The name is a part of the seal's path.
    raise RuntimeError(f"Model Gate: model_name must not have a slash: {name!r}")


def path_of(widget: str) -> str:
    """Return the path in a widget, with the parameters filled in."""
    return dbutils.widgets.get(widget).replace("{model_name}", name).replace("{model_version}", version)


paths = {option: path_of(option) for option in ("seal", "bundle", "public_key")}
options = paths | {option: dbutils.widgets.get(option) for option in ("identity", "issuer")}
verdict = run_gate(
    dbutils,
    [
        "verify",
        "--host=databricks",
        f"--model={name}",
        f"--version-or-stage={version}",
        *(f"--{option.replace('_', '-')}={value}" for option, value in options.items() if value),
    ],
)
print(verdict.text)

# COMMAND ----------

# The error fails a job that runs this notebook.
if not verdict.passed:
    raise RuntimeError(f"Model Gate: {verdict.report.get('status', 'error')}")
# A seal of another version of this model, with the same files, would pass too.
sealed_version = (verdict.report["seal"]["facts"] or {}).get("model_version")
if sealed_version != version:
    raise RuntimeError(f"Model Gate: the seal is of version {sealed_version}, not of version {version}")
dbutils.notebook.exit(verdict.report["status"])
