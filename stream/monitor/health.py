"""`/metrics`, `/healthz` and `/readyz`, served by a thread of their own so that a busy worker still answers."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST

from stream.errors import SettingError

LOOP_LIMIT_S = 10.0
WORK_LIMIT_S = 60.0


@dataclass(slots=True)
class Health:
    """What the worker tells about itself; written by the event loop, read by the server's thread."""

    loop_at: float = field(default_factory=time.monotonic)
    stalled_for: Callable[[], float] = lambda: 0.0
    ready: bool = False
    partitions: int = 0

    def alive(self) -> tuple[bool, dict[str, Any]]:
        """Whether the event loop turns and the finisher makes progress."""
        silent, stalled = time.monotonic() - self.loop_at, self.stalled_for()
        good = silent < LOOP_LIMIT_S and stalled < WORK_LIMIT_S
        return good, {"ok": good, "loop_silent_seconds": round(silent, 3), "work_stalled_seconds": round(stalled, 3)}

    def is_ready(self) -> tuple[bool, dict[str, Any]]:
        """Whether an assignment is held and recovered."""
        return self.ready, {"ok": self.ready, "partitions": self.partitions}


class MonitorServer:
    """The HTTP server; binds when made, so that a port in use stops the start."""

    def __init__(self, host: str, port: int, health: Health, metrics_text: Callable[[], bytes]) -> None:
        try:
            self._server = ThreadingHTTPServer((host, port), _handler(health, metrics_text))
        except (OSError, OverflowError) as error:
            raise SettingError(
                f"monitor.host {host} and monitor.port {port} cannot be listened on ({error}); "
                "choose another port (0 picks a free one)"
            ) from None
        self._server.daemon_threads = True
        shown = f"[{host}]" if ":" in host else host
        self.url = f"http://{shown}:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), name="monitor", daemon=True)

    def start(self) -> None:
        """Answer from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Stop answering and free the port."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join(timeout=2.0)
        self._server.server_close()


def _handler(health: Health, metrics_text: Callable[[], bytes]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 10

        def do_GET(self) -> None:
            path = self.path.split("?", 1)[0]
            if path == "/metrics":
                self._answer(200, CONTENT_TYPE_LATEST, metrics_text())
            elif path == "/healthz":
                self._answer_json(*health.alive())
            elif path == "/readyz":
                self._answer_json(*health.is_ready())
            else:
                self._answer(404, "text/plain; charset=utf-8", b"/metrics, /healthz or /readyz\n")

        def _answer_json(self, good: bool, body: dict[str, Any]) -> None:
            self._answer(200 if good else 503, "application/json", json.dumps(body).encode() + b"\n")

        def _answer(self, status: int, kind: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it
            """Stay silent: a scrape every few seconds is no news."""

    return Handler
