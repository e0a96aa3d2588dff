"""The workshop: simulated history, replay of foreign files, training, evaluation and export of the models."""
