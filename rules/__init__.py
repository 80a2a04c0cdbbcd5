"""Detection: rule files, features, conditions and the alarm state machine, all vectorized and on event time."""
