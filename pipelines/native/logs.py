"""`make logs`: the name of a part, or none, goes in; the end of its log and what is added to it come out."""

from __future__ import annotations

import subprocess
from pathlib import Path

from pipelines.errors import SetupFailed
from pipelines.native.layout import Layout

LINES = 40


def logs(state_dir: Path, part: str | None = None, *, follow: bool = True) -> None:
    """Write the log of `part`, or of every part, to standard output; follow it until interrupted.

    Raises:
        SetupFailed: there is no such log.
    """
    files = log_files(Layout.of(state_dir), part)
    # -F: the process manager begins a new file when one is full
    command = ["tail", "-n", str(LINES), *(["-F"] if follow else []), *map(str, files)]
    try:
        subprocess.run(command, check=False)
    except KeyboardInterrupt:
        return


def log_files(layout: Layout, part: str | None) -> list[Path]:
    """The log of `part`, or every log there is."""
    present = {file.stem: file for file in sorted(layout.logs.glob("*.log"))}
    if part is None:
        files = [file for name, file in present.items() if not name.startswith("install-")]
        if not files:
            raise SetupFailed("There is no log yet: nothing has been started.")
        return files
    if part not in present:
        raise SetupFailed(f"There is no log of {part}; there is one of: {', '.join(present) or 'nothing yet'}.")
    return [present[part]]
