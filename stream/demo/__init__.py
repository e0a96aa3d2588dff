"""`fraudstream demo`: broker, topics, warm-up history, worker and a paced stream, watched and then judged.

The order: `run.py` starts and stops the parts (`parts.py`), `watch.py` follows them while they live,
`judge.py` recomputes afterwards, on its own, what should have been told, and `summary.py` says what came of it.
"""
