"""Models of fraud behind one small interface, and the configuration that chooses among them."""
