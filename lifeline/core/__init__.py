"""Ground floor: values, schemas, limits, ports, errors, metrics. No I/O; imports nothing of ours."""
