"""Drills: break a running worker on purpose, again and again, and check afterwards that nothing shows.

simulate ──► transactions ──► worker(s) ──► alerts, dead letters, checkpoints
                                 ▲                     │
                rounds: kill | term | rebalance | broker └──► check: an uninterrupted run over the same log
"""

from __future__ import annotations

from stream.drill.course import CARELESS, WORKER, Plan, run
from stream.drill.rounds import KINDS

__all__ = ["CARELESS", "KINDS", "WORKER", "Plan", "run"]
