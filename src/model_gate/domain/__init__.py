"""Frozen values and pure decisions: requests, models, versions, differences and verdicts. No I/O."""
