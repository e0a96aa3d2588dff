"""fraudstream's engine: one direction, no way back.

    fraud.transactions ──► transport ──► codec ──► features ──► scoring ──► decide ──► reasons ──► sinks
      (raw bytes)         one event     columns    arenas      panel of    outcome     top 3       alerts
                          per chunk                (state)     ONNX models                         dead letters

`pipeline.py` is the only file that knows this order; it takes bytes and state and returns decisions and
dead letters, and needs no broker. `transport.py` and `app.py` are the edge: the only files that import faust.
"""

__version__ = "0.1.0"
