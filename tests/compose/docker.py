"""The Docker command line: arguments go in, what it printed comes out; an error carries what it said."""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from pathlib import Path

from pipelines.errors import SetupFailed
from pipelines.settings import inherited_environment

CHECKOUT = Path(__file__).parents[2]
INSTALLED = Path(sys.prefix).parent
"""Where `make` has put the environments."""

NEWEST_COMPOSE = INSTALLED.parent / "docker/newest/docker-compose"
"""The second version, where `.ci/docker.sh` has fetched it."""

_OWN_CONFIG = INSTALLED.parent / "docker/config"


def run(*command: str, variables: dict[str, str] | None = None, timeout_s: float = 600, both: bool = False) -> str:
    """Run a program and return what it printed, `both` its outputs.

    Raises:
        SetupFailed: it ended with an error, whose last lines are in the message.
    """
    done = subprocess.run(
        command,
        env=environment() | (variables or {}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT if both else subprocess.PIPE,
        text=True,
        check=False,
        timeout=timeout_s,
    )
    if done.returncode:
        said = "\n".join((done.stderr or done.stdout).strip().splitlines()[-40:])
        raise SetupFailed(f"`{' '.join(command[:12])}` ended with {done.returncode}: {said}")
    return done.stdout


def docker(*arguments: str, timeout_s: float = 600, both: bool = False) -> str:
    """Run `docker` and return what it printed, `both` its outputs; raises SetupFailed."""
    return run("docker", *arguments, timeout_s=timeout_s, both=both)


def has_image(tag: str) -> bool:
    return bool(docker("image", "ls", "--quiet", tag).strip())


@cache
def environment() -> dict[str, str]:
    """What `docker` is started with: nothing of this machine's that names a setting of the stack."""
    everything = inherited_environment(everything=True)
    kept = {
        name: value for name, value in everything.items() if name.startswith(("DOCKER_", "HTTP", "NO_PROXY", "XDG_"))
    }
    if _OWN_CONFIG.is_dir():
        kept["DOCKER_CONFIG"] = str(_OWN_CONFIG)
    return inherited_environment() | kept | {"PATH": everything["PATH"]}
