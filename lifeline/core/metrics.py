"""Every metric that the engine exports, declared in one place (contract, section 6)."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

LATENCY_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Metrics:
    """The engine's counters. One instance an engine; ``registry`` is what the endpoint serves."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        r = self.registry
        self.readings_received = Counter("lifeline_readings_received", "Readings decoded", registry=r)
        self.readings_rejected = Counter("lifeline_readings_rejected", "Objects rejected", ["reason"], registry=r)
        self.readings_late = Counter("lifeline_readings_late", "Readings flagged late", registry=r)
        self.readings_too_late = Gauge(
            "lifeline_readings_too_late", "Readings too late for the rules to put them in their place", registry=r
        )
        self.messages_received = Counter("lifeline_messages_received", "PUBLISH packets read", ["broker"], registry=r)
        self.log_commit = Histogram(
            "lifeline_log_commit_seconds", "Write and fsync of one group", buckets=LATENCY_BUCKETS_S, registry=r
        )
        self.log_unacked = Gauge("lifeline_log_unacked_readings", "Read but not yet acknowledged", registry=r)
        self.follower_lag = Gauge("lifeline_follower_lag_seconds", "Age of what is next", ["follower"], registry=r)
        self.ingest_to_event = Histogram(
            "lifeline_ingest_to_event_seconds",
            "From reading the bytes to the committed alarm",
            buckets=LATENCY_BUCKETS_S,
            registry=r,
        )
        self.events_open = Gauge("lifeline_events_open", "Open events", ["level", "status"], registry=r)
        self.alarms_raised = Counter("lifeline_alarms_raised", "Alarms raised", ["rule"], registry=r)
        self.shadow_alarms = Gauge(
            "lifeline_shadow_alarms",
            "Alarms of shadow rules against production's: same, raised, missed, times",
            ["rule", "difference"],
            registry=r,
        )
        self.alarm_load = Gauge("lifeline_alarm_load", "Alarm load of the last day (ISA-18.2)", ["figure"], registry=r)
        self.alarm_load_console = Gauge(
            "lifeline_alarm_load_console", "The same of one district's console", ["area", "figure"], registry=r
        )
        self.broker_dropped = Gauge(
            "lifeline_broker_dropped_messages",
            "Messages that the broker says it dropped, since the start",
            ["broker"],
            registry=r,
        )
        self.sparkplug_events = Counter(
            "lifeline_sparkplug_events",
            "Sparkplug: births, deaths, late_deaths, gaps, missing (messages), unknown_aliases, rebirths_asked",
            ["broker", "event"],
            registry=r,
        )
        self.sparkplug_edge_nodes = Gauge(
            "lifeline_sparkplug_edge_nodes", "Edge nodes: certain, doubt, dead", ["broker", "state"], registry=r
        )
        self.broker_connected = Gauge("lifeline_broker_connected", "1 while connected", ["broker"], registry=r)
