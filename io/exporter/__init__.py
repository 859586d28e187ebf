"""What a driver shows of itself over HTTP: metrics for Prometheus, and answers to the probes of an orchestrator."""
