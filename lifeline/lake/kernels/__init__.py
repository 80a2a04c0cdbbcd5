"""Compiled loops of the lake; each has a naive twin in the tests."""
