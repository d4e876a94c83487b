"""What the kernel counts for a container, in either version of control groups: a process goes in, figures come out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pipelines.errors import SetupFailed

_ROOT = Path("/sys/fs/cgroup")
MB = 2**20


@dataclass(frozen=True, slots=True)
class Counted:
    """Since a container has started. `working_mb` is what `docker stats` shows: without files that nobody uses."""

    working_mb: float
    peak_mb: float
    """The most at any moment, with every file that was ever read and could be given up."""
    cpu_s: float
    oom_kills: int


def counted(pid: int) -> Counted:
    """Read the figures of the container that `pid` runs in.

    Raises:
        SetupFailed: the containers do not run on this machine's own kernel, or this one has just ended.
    """
    try:
        groups = dict(line.split(":")[1:] for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines())
        return _first(groups) if any("memory" in names.split(",") for names in groups) else _second(groups[""])
    except (OSError, KeyError, ValueError) as error:
        raise SetupFailed(f"The kernel's figures of process {pid} cannot be read here: {error}") from error


def _first(groups: dict[str, str]) -> Counted:
    by_name = {name: _ROOT / name / path.lstrip("/") for names, path in groups.items() for name in names.split(",")}
    memory, processor = by_name["memory"], by_name["cpuacct"]
    idle = _table(memory / "memory.stat")["total_inactive_file"]
    return Counted(
        working_mb=(_number(memory / "memory.usage_in_bytes") - idle) / MB,
        peak_mb=_number(memory / "memory.max_usage_in_bytes") / MB,
        cpu_s=_number(processor / "cpuacct.usage") / 1e9,
        oom_kills=_table(memory / "memory.oom_control").get("oom_kill", 0),
    )


def _second(path: str) -> Counted:
    group = _ROOT / path.lstrip("/")
    idle = _table(group / "memory.stat")["inactive_file"]
    return Counted(
        working_mb=(_number(group / "memory.current") - idle) / MB,
        peak_mb=_number(group / "memory.peak") / MB,  # since Linux 5.19
        cpu_s=_table(group / "cpu.stat")["usage_usec"] / 1e6,
        oom_kills=_table(group / "memory.events")["oom_kill"],
    )


def _number(file: Path) -> int:
    return int(file.read_text())


def _table(file: Path) -> dict[str, int]:
    return {name: int(value) for name, value in (line.split() for line in file.read_text().splitlines())}
