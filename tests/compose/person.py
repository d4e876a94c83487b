"""What a person sees who types `docker compose ...`: the lines, how it ended, and after how long."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.compose.deployment import Deployment
from tests.compose.docker import environment

BOUND_S = 120
"""Whatever is wrong, it has ended by then, on a machine that others load."""

_CONTROL = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_PREFIX = re.compile(r"^(?:Container )?[\w.-]+-\d+ +(?:\| )?")


@dataclass(frozen=True, slots=True)
class Seen:
    """What one command showed; a line of a container is without the container's name."""

    code: int
    lines: tuple[str, ...]
    seconds: float

    def about(self, part: str) -> str:
        """The one line with `part` in it; AssertionError when there is none, or several that differ."""
        (found,) = {line for line in self.lines if part in line} or {f"no '{part}' in: {self.lines}"}
        return found


def type_compose(stack: Deployment, *arguments: str, files: Sequence[Path] = ()) -> Seen:
    """Run a command on a project whose files are followed by `files`; it may fail, and must end within BOUND_S."""
    named = (option for file in (*stack.files, *files) for option in ("--file", str(file)))
    options = ("--project-name", stack.project, "--env-file", str(stack.folder / ".env"), *named)
    return type_in(stack.folder, *stack.compose_program, *options, *arguments, variables=stack.variables)


def type_in(folder: Path, *command: str, variables: dict[str, str] | None = None) -> Seen:
    """Run a program in a folder, without a terminal."""
    began = time.monotonic()
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment() | (variables or {}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=BOUND_S,
    )
    shown = (_PREFIX.sub("", _CONTROL.sub("", line).strip()) for line in done.stdout.splitlines())
    return Seen(done.returncode, tuple(line for line in shown if line), time.monotonic() - began)
