"""Runs an installer: a command goes in, its output goes to a log, and a failure comes out as one sentence."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from pipelines.errors import SetupFailed
from pipelines.settings import inherited_environment

REASONS = (
    (r"ENOSPC|No space left on device", "the disk is full: free some space and run it again"),
    (
        r"ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ETIMEDOUT|dns error|name resolution|error sending request",
        "the package registry cannot be reached: check the network or the proxy settings and run it again",
    ),
)


def run_logged(
    command: Sequence[str],
    log: Path,
    *,
    what: str,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> None:
    """Run `command` with the whole environment of this process and `environment` over it; add its output to `log`.

    Raises:
        SetupFailed: it ended with an error; says why as far as the output tells.
    """
    with log.open("a+", encoding="utf-8", errors="replace") as output:
        begin = output.tell()
        done = subprocess.run(
            command,
            cwd=folder,
            env={**inherited_environment(everything=True), **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        )
        if done.returncode != 0:
            output.seek(begin)
            raise SetupFailed(f"Installing {what} failed: {_reason(output.read())}. The whole log is {log}.")


def _reason(output: str) -> str:
    for pattern, reason in REASONS:
        if re.search(pattern, output):
            return reason
    lines = [line.strip() for line in output.splitlines() if line.strip()] or ["it gave no reason"]
    # installers say first what went wrong and then at length what to read about it
    errors = [line for line in lines if re.search(r"\berror\b", line, re.IGNORECASE)]
    return "; ".join(errors[:2] or lines[-1:]).rstrip(".")
