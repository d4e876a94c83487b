"""The benchmarks' own code."""
