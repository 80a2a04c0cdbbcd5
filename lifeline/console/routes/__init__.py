"""The routes, one module a resource. Each asks a port in a worker thread, masks, and answers; nothing else."""
