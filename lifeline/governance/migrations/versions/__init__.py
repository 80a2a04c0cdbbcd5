"""The steps, oldest first. A step spells its tables out: it must mean the same whatever ``schema`` has become."""
