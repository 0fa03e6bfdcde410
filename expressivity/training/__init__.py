"""Training: data, networks, a loop with a log, and experiments."""
