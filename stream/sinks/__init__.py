"""Where decisions go: the chain of alerts, dead letters, and a sink in memory."""
