"""Loops over rows with state per point, compiled by numba. Each has a naive twin in ``tests/rules``.

All loops take rows in reading order and keep their state in the arrays given, so cutting the rows into batches
anywhere changes nothing. No fast-math: results are the same whatever the batch.
"""
