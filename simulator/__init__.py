"""The shop that makes events."""
