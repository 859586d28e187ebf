"""Real-time e-commerce jobs on Apache Beam: `ecompulse.kernels`, `.transforms`, `.epochs`, `.io`, `.runners`."""
