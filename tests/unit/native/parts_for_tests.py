"""Small parts that really run: an HTTP server that says it is healthy, and one that ends at once."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

from pipelines.native.layout import MARKER, Layout
from pipelines.native.parts import Part, Port
from pipelines.native.processes import stack_processes
from pipelines.native.supervisor import Supervisor

SERVER = """
import os, sys
from http.server import BaseHTTPRequestHandler, HTTPServer

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        body = os.environ.get("ANSWER", '{"status": "ok"}').encode()
        self.send_response(200)
        self.send_header("Content-Type", os.environ.get("TYPE", "application/json"))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""

ENDS = "import sys; print('the database is not there'); sys.exit(3)"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def server_part(layout: Layout, name: str, *needs: str, port: int = 0, **environment: str) -> Part:
    """A part that becomes healthy at once."""
    number = port or free_port()
    return _part(layout, name, (sys.executable, "-u", "-c", SERVER, str(number)), number, needs, environment)


def ending_part(layout: Layout, name: str) -> Part:
    """A part that ends while it starts."""
    return _part(layout, name, (sys.executable, "-c", ENDS), free_port(), (), {})


def discard(layout: Layout) -> None:
    """End a stack without the courtesy that `down` shows it, which takes seconds."""
    for process in stack_processes(layout):
        process.kill()
    Supervisor(layout).clear()


def _part(
    layout: Layout, name: str, command: tuple[str, ...], port: int, needs: tuple[str, ...], environment: dict[str, str]
) -> Part:
    return Part(
        name=name,
        command=command,
        environment={MARKER: str(layout.state), **environment},
        folder=Path("/"),
        ports=(Port(port, f"{name.upper()}_PORT"),),
        health_url=f"http://127.0.0.1:{port}/health",
        needs=needs,
        start_timeout_s=20,
    )
