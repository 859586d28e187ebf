"""Chaos and soak: long runs that a person starts, with short forms among the tests."""
