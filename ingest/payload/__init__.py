"""From payload bytes to readings: one kernel for the native JSON, one module a foreign family, one judge for all."""
