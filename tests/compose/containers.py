"""The containers of a project as the engine sees them: how each is, what it takes, and how one is made to crash."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pipelines.errors import SetupFailed
from tests.compose.docker import docker

_PROJECT, _SERVICE = "com.docker.compose.project", "com.docker.compose.service"
_UNITS = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "kB": 10**3, "MB": 10**6, "GB": 10**9}


@dataclass(frozen=True, slots=True)
class Container:
    """One container; `health` is its check's word, or its state with the exit code."""

    id: str
    name: str
    service: str
    state: str
    exit_code: int
    health: str
    pid: int
    restarts: int
    started_at: str
    limit_mb: float
    """Of its memory; 0 is none."""
    oom_killed: bool
    networks: frozenset[str]
    published: frozenset[str]
    """Addresses of the host, as in 127.0.0.1:3000."""

    def ready(self, *, once: bool) -> bool:
        """Whether it does what it should: ended well if it runs `once`, else healthy."""
        return self.health == "exited 0" if once else self.health in ("healthy", "running")


@dataclass(frozen=True, slots=True)
class Usage:
    """What a container takes: memory without the page cache, and processors in percent of one."""

    memory_mb: float
    cpu_percent: float


def of_project(project: str, service: str = "") -> list[Container]:
    """The containers of a project, or of one of its services, in the order of their names."""
    labels = [f"label={_PROJECT}={project}", *([f"label={_SERVICE}={service}"] if service else [])]
    filters = (option for label in labels for option in ("--filter", label))
    ids = docker("ps", "--all", "--quiet", "--no-trunc", *filters).split()
    if not ids:
        return []
    try:
        inspected = json.loads(docker("inspect", *ids))
    except SetupFailed:  # one of them was just removed or put in place of another
        return of_project(project, service)
    return sorted((_container(one) for one in inspected), key=lambda container: container.name)


def usage(containers: Sequence[Container]) -> dict[str, Usage]:
    """What each running one takes at this moment, by its name."""
    ids = [container.id for container in containers if container.state == "running"]
    lines = docker("stats", "--no-stream", "--no-trunc", "--format", "{{json .}}", *ids).splitlines()
    return {
        line["Name"]: Usage(_mb(line["MemUsage"]), float(line["CPUPerc"].rstrip("%")))
        for line in map(json.loads, lines)
    }


def kill(container: Container, process: str = "") -> None:
    """Kill the process whose command line has `process` in it; without one, the first below the container's init.

    Raises:
        SetupFailed: the container has no such process.
    """
    lines = docker("top", container.id, "-eo", "pid,ppid,args").splitlines()[1:]
    found = [(int(pid), int(parent), command) for pid, parent, command in (line.split(None, 2) for line in lines)]
    for pid, parent, command in found:
        wanted = process in command if process else parent == container.pid or len(found) == 1
        if wanted and "docker-init" not in command:
            os.kill(pid, signal.SIGKILL)
            return
    raise SetupFailed(f"{container.name} runs nothing like '{process}': {found}")


def _container(inspected: dict[str, Any]) -> Container:
    state, labels = inspected["State"], inspected["Config"]["Labels"]
    ended = f"{state['Status']} {state['ExitCode']}" if state["Status"] == "exited" else state["Status"]
    running = state["Status"] == "running" and "Health" in state
    bindings = [binding for found in (inspected["NetworkSettings"]["Ports"] or {}).values() for binding in found or []]
    return Container(
        id=inspected["Id"],
        name=inspected["Name"].lstrip("/"),
        service=labels[_SERVICE],
        state=state["Status"],
        exit_code=state["ExitCode"],
        health=state["Health"]["Status"] if running else ended,
        pid=state["Pid"],
        restarts=inspected["RestartCount"],
        started_at=state["StartedAt"],
        limit_mb=inspected["HostConfig"]["Memory"] / 2**20,
        oom_killed=state["OOMKilled"],
        networks=frozenset(inspected["NetworkSettings"]["Networks"]),
        published=frozenset(f"{binding['HostIp']}:{binding['HostPort']}" for binding in bindings),
    )


def _mb(usage: str) -> float:
    """The first of `123.4MiB / 2GiB`, in MB of 2^20 bytes."""
    number, unit = re.match(r"([\d.]+)(\w+)", usage).groups()  # type: ignore[union-attr]
    return float(number) * _UNITS[unit] / 2**20
