"""Funnels: how far visitors come through ordered stages, and how long each step takes them."""
