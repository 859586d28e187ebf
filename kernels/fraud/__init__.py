"""Fraud: features of transactions, labels that come later, models that learn on the stream, decisions."""
