"""The last value of every point, in one memory-mapped file that other processes read without asking the engine."""
