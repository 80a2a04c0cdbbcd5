"""Collectors: bytes of a broker in, columns of readings out; acknowledged only after the log says so."""
