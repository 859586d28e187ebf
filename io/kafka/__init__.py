"""Kafka: topics as sources, read_committed, and as sinks, exactly once."""
