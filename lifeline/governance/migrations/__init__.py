"""Alembic's folder: ``env`` runs the steps of ``versions`` on the connection that ``migrate`` hands over."""
