"""Compiled loops: noise, signals, encoding, acknowledgements. Arrays of primitives in, arrays of primitives out.

Each has a naive twin in ``tests/simulators`` that must agree.
"""
