"""Benchmarks: each prints ratios to something that ran beside it on the same machine."""
