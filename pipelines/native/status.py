"""`make status`: a stack goes in, one line for each of its parts comes out."""

from __future__ import annotations

import time
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from pipelines.native.health import healthy
from pipelines.native.layout import Layout
from pipelines.native.parts import Part, stack_parts
from pipelines.native.processes import resident_bytes, stack_processes
from pipelines.native.supervisor import ProcessState, Supervisor
from pipelines.settings import StackSettings

WORDS = {
    "STOPPED": "stopped",
    "STARTING": "starting",
    "RUNNING": "running",
    "BACKOFF": "failed, trying again",
    "STOPPING": "stopping",
    "EXITED": "ended",
    "FATAL": "given up after several failures, see its log",
    "UNKNOWN": "unknown",
}


@dataclass(frozen=True, slots=True)
class PartStatus:
    """One part. `rss_bytes` includes the processes it started; `uptime_s` is None while it does not run."""

    name: str
    state: str
    healthy: bool
    pid: int | None
    port: int
    rss_bytes: int
    uptime_s: float | None


def status(settings: StackSettings) -> list[PartStatus]:
    """Every part of the stack, whether it runs or not."""
    layout = Layout.of(settings.state_dir)
    states = Supervisor(layout).states()
    return [_part_status(part, states.get(part.name)) for part in stack_parts(settings, layout)]


def show_status(settings: StackSettings, console: Console) -> bool:
    """Print the parts as a table; whether all of them are healthy."""
    found = status(settings)
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading, right in (("part", False), ("state", False), ("port", True), ("memory", True), ("up", True)):
        table.add_column(heading, justify="right" if right else "left")
    for part in found:
        memory = f"{part.rss_bytes / 2**20:.0f} MB" if part.rss_bytes else ""
        uptime = "" if part.uptime_s is None else _duration(part.uptime_s)
        table.add_row(part.name, _state(part), str(part.port), memory, uptime)
    console.print(table)
    layout = Layout.of(settings.state_dir)
    if not Supervisor(layout).running() and stack_processes(layout):
        console.print(
            "The process manager is gone but parts of the stack still run: `make up` or `make down` tidies up."
        )
    return all(part.healthy for part in found)


def _part_status(part: Part, process: ProcessState | None) -> PartStatus:
    if process is None or not process.pid:
        state = WORDS["STOPPED"] if process is None else WORDS[process.name]
        return PartStatus(part.name, state, False, None, part.ports[0].number, 0, None)
    return PartStatus(
        name=part.name,
        state=WORDS[process.name],
        healthy=healthy(part),
        pid=process.pid,
        port=part.ports[0].number,
        rss_bytes=resident_bytes(process.pid),
        uptime_s=time.time() - process.since,
    )


def _state(part: PartStatus) -> str:
    if part.healthy:
        return "[green]healthy[/green]"
    return f"[yellow]{part.state}[/yellow]" if part.pid else f"[red]{part.state}[/red]"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"
