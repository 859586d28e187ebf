"""Declared metrics over tumbling and sliding windows."""
