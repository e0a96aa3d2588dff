"""Scoring: ONNX detectors, their fusion and their device. Knows columns by the names it is given, no features."""

from stream.scoring.panel import Panel, PanelScores, Thresholds

__all__ = ["Panel", "PanelScores", "Thresholds"]
