"""Foreign rows: how files are written, how values are, and which shapes rows have."""
