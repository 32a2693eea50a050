"""Benchmarks of Model Gate's speed, disk and memory against floors measured in the same run: `make bench`."""
