"""What touches the outside: sources, look-ups, sinks, stores."""
