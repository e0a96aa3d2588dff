"""Generative adversarial networks: windows of transactions, windows of features, a ring of modes; quality, privacy."""
