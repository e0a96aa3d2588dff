"""Ends a broker when the process that owns it has ended: ``python -m stream.broker.guard DIRECTORY``.

The owner holds the other end of this program's standard input and writes nothing; the kernel closes it with the owner.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from stream.broker.process import LockedProcess


def main() -> None:
    """Wait for the end of standard input, then stop the broker, after ten seconds by force."""
    sys.stdin.buffer.read()
    process = LockedProcess(Path(sys.argv[1]))
    process.signal(signal.SIGTERM)
    if not process.wait(10.0):
        process.signal(signal.SIGKILL)


if __name__ == "__main__":
    main()
