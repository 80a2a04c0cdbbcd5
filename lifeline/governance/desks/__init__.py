"""The people's door by subject, one module each; ``lifeline.governance.desk`` is all of them in one."""
