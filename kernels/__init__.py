"""Pure functions on columns: no Beam, no clock of their own, no input or output."""
