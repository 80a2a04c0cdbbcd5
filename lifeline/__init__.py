"""Lifeline, a city-lifeline telemetry engine: MQTT → durable log → rules → governance queue → DuckDB."""

__version__ = "0.1.0"
