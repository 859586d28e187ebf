"""Sinks as the audit sees them: what they hold of a job."""
