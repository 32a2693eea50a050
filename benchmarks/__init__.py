"""Benchmarks of Model Gate's speed, disk and memory use: `make bench`.

Each value is compared with a floor, that is, the value of the fastest known tools for the same work in the same run.
"""
