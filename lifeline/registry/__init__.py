"""The durable registry: reading the user's files, and the ledger that numbers every point once and for ever.

``files`` turns a CSV or Parquet file into a checked table, ``ledger`` gives each (device, quantity) its point number.
"""

from lifeline.registry.files import read_areas, read_points, unknown_areas
from lifeline.registry.ledger import RegistryLedger

__all__ = ["RegistryLedger", "read_areas", "read_points", "unknown_areas"]
