"""Loops over bytes and rows, compiled. Each has a slow twin that must agree: ``native.py`` above, or in the tests."""
