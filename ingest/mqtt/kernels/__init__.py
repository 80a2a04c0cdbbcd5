"""Compiled loops over bytes. Each has a naive twin in the tests that must agree."""
