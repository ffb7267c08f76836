"""Benchmarks: medians beside a floor measured in the same run, and the goals they are held to."""
