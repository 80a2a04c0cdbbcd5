"""Benchmarks: the engine's figures, each with its machine, its workload id, its peers and a hash of what was produced.

    list ─► workloads/ (one a file, one table)          run ─► each workload in a process of its own ─► report, JSON
    gate ─► the short set ─► ratios to a baseline of the same run ─► gates.toml ─► exit 0 or 1

Nobody imports this package; it may import everything.
"""
