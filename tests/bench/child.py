"""Starts measured processes: a module and a plan go in, the running process comes out, and never outlives this one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipelines.settings import inherited_environment

CHECKOUT = Path(__file__).parents[2]


class BrokenRun(Exception):
    """A measured process that did not come to its end."""


@contextmanager
def running_child(module: str, plan: Mapping[str, Any]) -> Iterator[subprocess.Popen[str]]:
    """A process of `module` with the plan on its stdin; it is killed at the end, and when this one is interrupted."""
    process = subprocess.Popen(
        [sys.executable, "-m", module],
        cwd=CHECKOUT,
        env=inherited_environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,  # an interrupt of the terminal comes to this process alone
    )
    assert process.stdin and process.stdout
    try:
        process.stdin.write(json.dumps(plan) + "\n")
        process.stdin.flush()
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


def run_child(module: str, plan: Mapping[str, Any], about: str) -> Any:
    """What a process that does the plan reports; raises `BrokenRun` when it fails."""
    with running_child(module, plan) as process:
        assert process.stdout
        said = process.stdout.read()
        process.wait()
    if process.returncode:
        raise BrokenRun(f"{about} ended with {process.returncode}; its log is above.")
    return json.loads(said)


def read_plan() -> dict[str, Any]:
    """The plan, in the measured process; from here on it ends when its stdin does."""
    plan: dict[str, Any] = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_stdin, daemon=True).start()
    return plan


def _end_with_stdin() -> None:
    sys.stdin.read()
    os._exit(1)
