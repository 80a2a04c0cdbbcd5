"""Workloads with permanent ids, peers in the same run, and a gate of ratios."""
