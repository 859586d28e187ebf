"""Anomalies of metrics: a detector that learns each series on the stream, and its incidents."""
