"""Tables of the governance database by theme; ``lifeline.governance.schema`` names them all."""
