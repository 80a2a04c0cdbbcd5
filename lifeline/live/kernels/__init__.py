"""Compiled loops of the live values; each has a naive twin in the tests."""
