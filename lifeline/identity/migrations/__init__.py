"""Steps of the accounts' tables, for ``lifeline.identity.migrate``."""
