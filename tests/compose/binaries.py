"""Which versions of Docker Compose are on this machine, each with the command that starts it, oldest first."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pipelines.errors import SetupFailed
from tests.compose.docker import INSTALLED, environment

FETCHED = INSTALLED.parent / "docker"
"""Where `.ci/docker.sh` puts the oldest version that is supported and the newest there is."""

ASK_S = 20


@dataclass(frozen=True, order=True)
class Compose:
    """One version of Docker Compose."""

    version: tuple[int, ...]
    command: tuple[str, ...]

    def __str__(self) -> str:
        return ".".join(map(str, self.version))


@cache
def compose_versions(fetched: Path = FETCHED) -> tuple[Compose, ...]:
    """Docker's own Compose, and those that `.ci/docker.sh` has fetched; each version once.

    Raises:
        SetupFailed: there is none at all, or one of those that were fetched does not start.
    """
    found: dict[tuple[int, ...], Compose] = {}
    for program in sorted(fetched.glob("*/docker-compose")):
        compose = _ask((str(program),))
        if compose is None:
            raise SetupFailed(f"{program} does not say its version: remove it, and run .ci/docker.sh again.")
        found.setdefault(compose.version, compose)
    if own := _ask(("docker", "compose")):
        found.setdefault(own.version, own)
    if not found:
        raise SetupFailed("Docker Compose is not on this machine: install it, or on Debian run .ci/docker.sh.")
    return tuple(sorted(found.values()))


def _ask(command: tuple[str, ...]) -> Compose | None:
    try:
        said = subprocess.run(
            [*command, "version", "--short"], env=environment(), capture_output=True, text=True, timeout=ASK_S
        )
    except OSError:
        return None
    numbers = said.stdout.strip().removeprefix("v").partition("-")[0].partition("+")[0]
    if said.returncode or not numbers:
        return None
    return Compose(tuple(map(int, numbers.split("."))), command)
