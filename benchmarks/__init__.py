"""Benchmarks: CPU seconds of what has a budget. `python -m benchmarks [NAME ...]` prints a table."""
