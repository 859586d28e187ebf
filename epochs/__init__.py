"""The epoch driver: plan, run, seal, publish, commit; state; the Keyed adapter."""
