"""Enrichment steps: each adds its prefixed columns and one status to a batch of events."""
