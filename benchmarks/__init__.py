"""Measurements behind what the course says, each run by hand and recorded: ``python -m benchmarks.<name>``."""
