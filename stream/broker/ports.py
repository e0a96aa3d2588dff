"""Free TCP ports of 127.0.0.1, chosen where the kernel does not hand out ports to outgoing connections."""

from __future__ import annotations

import random
import socket
from pathlib import Path

from stream.errors import BrokerError

_LOWEST = 10_240
_EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")


def is_free(port: int) -> bool:
    """Tell whether a server could listen on this port of 127.0.0.1 now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as Java's sockets: TIME_WAIT is no obstacle
        try:
            probe.bind(("127.0.0.1", port))
            probe.listen(1)
        except OSError:
            return False
    return True


def free_ports(count: int) -> list[int]:
    """Return `count` different free ports.

    They lie below the ephemeral range: a client that keeps trying to reach a stopped broker cannot be given the
    broker's own port as its source, connect to itself, and so keep the port from the broker's next start.

    Raises
    ------
    BrokerError
        No free port was found.
    """
    highest = _ephemeral_start() - 1
    chosen: list[int] = []
    for _ in range(1_000):
        port = random.randint(_LOWEST, highest)
        if port not in chosen and is_free(port):
            chosen.append(port)
        if len(chosen) == count:
            return chosen
    raise BrokerError(f"no free port between {_LOWEST} and {highest} on 127.0.0.1; end some of the servers there")


def _ephemeral_start() -> int:
    try:
        start = int(_EPHEMERAL.read_text("ascii").split()[0])
    except (OSError, ValueError, IndexError):  # not Linux: the range most systems use
        start = 32_768
    return start if start > _LOWEST + 1_000 else 65_535
