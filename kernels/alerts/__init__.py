"""Alert rules over metrics."""
