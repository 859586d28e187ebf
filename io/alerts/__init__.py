"""Alerts delivered: from an outbox of sealed epochs to receivers, at least once."""
