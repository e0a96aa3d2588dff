"""One HTML page of all figures: tables, goals, pictures and model cards, without a single outside request."""

from __future__ import annotations

from training.report.build import build_page, read_results

__all__ = ["build_page", "read_results"]
