"""Sinks: each takes a sealed epoch, idempotently."""
