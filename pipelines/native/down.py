"""`make down`: a stack in whatever state goes in, nothing is left of it but its data."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from pipelines.errors import SetupFailed
from pipelines.native.layout import Layout
from pipelines.native.processes import stack_processes, stop_processes
from pipelines.native.steps import Steps
from pipelines.native.supervisor import Supervisor


def down(state_dir: Path, console: Console) -> None:
    """Stop every process of the stack and verify that none is left.

    Raises:
        SetupFailed: a process could not be ended.
    """
    layout = Layout.of(state_dir)
    supervisor = Supervisor(layout)
    if not supervisor.running() and not stack_processes(layout):
        supervisor.clear()
        console.print("Nothing was running.")
        return
    with Steps(console) as steps, steps.step("Stopping"):
        supervisor.shutdown()
        stop_leftovers(layout, supervisor)
    console.print("Everything is stopped. Documents, chats and workflows are kept.")


def stop_leftovers(layout: Layout, supervisor: Supervisor) -> None:
    """End what a killed process manager left running, and remove its files.

    Raises:
        SetupFailed: a process could not be ended.
    """
    remaining = stop_processes(stack_processes(layout))
    if remaining:
        names = ", ".join(f"{process.name()} (process {process.pid})" for process in remaining)
        raise SetupFailed(f"Could not stop {names}: end it, or run as the user who started it.")
    supervisor.clear()
