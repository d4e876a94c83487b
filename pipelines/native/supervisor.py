"""The process manager (supervisord): parts go in, running processes that are restarted when they die come out."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from configparser import ConfigParser
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any, cast
from xmlrpc.client import Fault, ServerProxy

import psutil
from supervisor.xmlrpc import SupervisorTransport

from pipelines.errors import SetupFailed
from pipelines.native.layout import Layout
from pipelines.native.parts import Part
from pipelines.native.processes import alive, becomes_true

LAUNCHER = Path(__file__).with_name("launch.py")
STEADY_S = 10
"""A part that ran this long has started; one that ends earlier is tried again, each time a second later."""

TRIES = 5
STOP_S = 15
LOG_BYTES = 10_000_000
STOPPABLE = frozenset({"STARTING", "RUNNING", "BACKOFF"})


@dataclass(frozen=True, slots=True)
class ProcessState:
    """What the process manager says of one part. `name` is supervisord's own word; `since` is Unix time, 0 if never."""

    name: str
    pid: int
    since: int
    description: str


class Supervisor:
    """The supervisord of one stack, running or not."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._config = layout.run / "supervisord.conf"
        self._socket = self._socket_path()

    def running(self) -> bool:
        """Whether it answers."""
        return self._ask("getState") is not None

    def launch(self, parts: Iterable[Part], environment: Mapping[str, str]) -> None:
        """Start the daemon with `parts` known and none of them started.

        Raises:
            SetupFailed: it does not come up.
        """
        self._socket = self._layout.socket_folder / "control"
        self._layout.socket_folder.mkdir(mode=0o700, exist_ok=True)
        if self._layout.socket_folder.stat().st_uid != self._layout.run.stat().st_uid:
            raise SetupFailed(f"{self._layout.socket_folder} belongs to another user: remove it, or set TMPDIR.")
        self._config.write_text(configuration(parts, self._layout, self._socket))
        command = [sys.executable, "-m", "supervisor.supervisord", "-c", str(self._config)]
        done = subprocess.run(command, env=dict(environment), capture_output=True, text=True, check=False)
        if done.returncode != 0 or not becomes_true(self.running, 15):
            reason = (done.stderr or done.stdout).strip()
            raise SetupFailed(f"The process manager did not start; see {self._layout.log('supervisord')}. {reason}")

    def start(self, name: str) -> None:
        """Start a part that is not running; return at once."""
        self._call("startProcess", name, False)

    def stop(self, name: str) -> None:
        """Stop a part, unless it has ended already, and wait until it has."""
        if self.state(name).name in STOPPABLE:
            self._call("stopProcess", name, True)

    def state(self, name: str) -> ProcessState:
        """The state of one part."""
        return self.states().get(name, ProcessState("UNKNOWN", 0, 0, ""))

    def states(self) -> dict[str, ProcessState]:
        """The state of every part by its name; empty when the process manager does not run."""
        found = cast(list[dict[str, Any]] | None, self._ask("getAllProcessInfo")) or []
        return {
            str(info["name"]): ProcessState(
                info["statename"], int(info["pid"]), int(info["start"]), info["spawnerr"] or info["description"]
            )
            for info in found
        }

    def pid(self) -> int | None:
        """The daemon's process id, None when it does not run."""
        return cast(int | None, self._ask("getPID"))

    def shutdown(self) -> None:
        """Stop every part and the daemon, and wait until it is gone."""
        pid = self.pid()
        if pid is None:
            return
        daemon = psutil.Process(pid)
        self._ask("shutdown")
        # it refuses to answer from here on, but is there until its last part has ended
        becomes_true(lambda: not alive(daemon), STOP_S * 4)

    def clear(self) -> None:
        """Remove what only a running stack has: configuration, socket and pid files."""
        shutil.rmtree(self._layout.socket_folder, ignore_errors=True)
        shutil.rmtree(self._socket.parent, ignore_errors=True)
        for path in self._layout.run.glob("*"):
            path.unlink()

    def _socket_path(self) -> Path:
        # as it was when the stack was started: TMPDIR may be another one now
        config = ConfigParser(interpolation=None)
        config.read(self._config)
        return Path(config.get("unix_http_server", "file", fallback=str(self._layout.socket_folder / "control")))

    def _call(self, method: str, *arguments: object) -> object:
        with self._server() as server:
            return cast(object, getattr(server.supervisor, method)(*arguments))

    def _ask(self, method: str) -> object | None:
        try:
            return self._call(method)
        except (OSError, HTTPException, Fault):
            return None

    @contextmanager
    def _server(self) -> Iterator[ServerProxy]:
        transport = SupervisorTransport("", "", f"unix://{self._socket}")
        try:
            yield ServerProxy("http://localhost", transport=transport)
        finally:
            transport.close()


def configuration(parts: Iterable[Part], layout: Layout, socket: Path) -> str:
    """The text of `supervisord.conf`. It names no secret: a part's environment is in the file its launcher reads."""
    sections: dict[str, dict[str, object]] = {
        "unix_http_server": {"file": socket, "chmod": "0700"},
        "rpcinterface:supervisor": {
            "supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"
        },
        "supervisord": {
            "logfile": layout.log("supervisord"),
            "logfile_maxbytes": LOG_BYTES,
            "logfile_backups": 1,
            "loglevel": "info",
            "pidfile": layout.run / "supervisord.pid",
            "childlogdir": layout.logs,
        },
    }
    for rank, part in enumerate(parts):
        sections[f"program:{part.name}"] = _program(part, layout, rank)
    return "\n".join(f"[{name}]\n{_lines(values)}" for name, values in sections.items())


def _program(part: Part, layout: Layout, rank: int) -> dict[str, object]:
    return {
        "command": shlex.join([sys.executable, "-I", str(LAUNCHER), str(launch_file(layout, part.name))]),
        # parts are started one after another by `up`, and stopped in the reverse order by supervisord
        "autostart": "false",
        "priority": 10 + rank,
        "autorestart": "true",
        "startsecs": STEADY_S,
        "startretries": TRIES,
        "stopsignal": part.stop_signal,
        "stopwaitsecs": STOP_S,
        "stopasgroup": str(part.stop_group).lower(),
        "killasgroup": "true",
        "redirect_stderr": "true",
        "stdout_logfile": layout.log(part.name),
        "stdout_logfile_maxbytes": LOG_BYTES,
        "stdout_logfile_backups": 2,
    }


def launch_file(layout: Layout, name: str) -> Path:
    """Where a part's command and environment are kept while the stack runs."""
    return layout.run / f"{name}.json"


def _lines(values: Mapping[str, object]) -> str:
    return "".join(f"{key}={value}\n" for key, value in values.items())
