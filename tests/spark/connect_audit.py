"""Audits two gates by Spark Connect, twice, and prints the rows of both audits as JSON.

Usage: `connect_audit.py DIRECTORY`, which has the file `gates.yaml`. It runs in a process of its own, since a process
has either a session of Spark Connect or a classic one.
"""

from __future__ import annotations

import json
import os
import sys
import warnings

# Spark warns of the pandas of the tests.
warnings.filterwarnings("ignore")

from pyspark.sql import SparkSession  # noqa: E402  # its imports warn

from model_gate.spark import audit_to_table  # noqa: E402


def main() -> None:
    """Run the program."""
    os.chdir(sys.argv[1])
    spark = SparkSession.builder.remote("local[1]").getOrCreate()
    audits = [
        [
            {name: row[name] for name in ("name", "status", "passed", "reason", "digest", "audit")}
            for row in audit_to_table(spark, "gates.yaml", "audits", only=["same", "no-model"]).collect()
        ]
        for _ in range(2)
    ]
    sys.stdout.write("\n" + json.dumps(audits) + "\n")
    spark.stop()


if __name__ == "__main__":
    main()
