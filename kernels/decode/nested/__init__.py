"""Nested rows: paths into objects and lists, and rows that give several events."""
