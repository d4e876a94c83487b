"""The Docker command line: arguments go in, what it printed comes out; an error carries what it said."""

from __future__ import annotations

import subprocess
import sys
from fcntl import LOCK_EX, flock
from functools import cache
from pathlib import Path
from tempfile import gettempdir

from pipelines.errors import SetupFailed
from pipelines.settings import inherited_environment

CHECKOUT = Path(__file__).parents[2]
INSTALLED = Path(sys.prefix).parent
"""Where `make` has put the environments."""

NEWEST_COMPOSE = INSTALLED.parent / "docker/newest/docker-compose"
"""The second version, where `.ci/docker.sh` has fetched it."""

_OWN_CONFIG = INSTALLED.parent / "docker/config"


def run(
    *command: str,
    variables: dict[str, str] | None = None,
    stdin: str = "",
    timeout_s: float = 600,
    both: bool = False,
) -> str:
    """Run a program and return what it printed, `both` its outputs.

    Raises:
        SetupFailed: it ended with an error, whose last lines are in the message.
    """
    done = subprocess.run(
        command,
        env=environment() | (variables or {}),
        input=stdin,
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


def docker(*arguments: str, stdin: str = "", timeout_s: float = 600, both: bool = False) -> str:
    """Run `docker` and return what it printed, `both` its outputs; raises SetupFailed."""
    return run("docker", *arguments, stdin=stdin, timeout_s=timeout_s, both=both)


def build(*arguments: str) -> None:
    """`docker buildx build --load`, one at a time on this machine; raises SetupFailed.

    Docker 20.10 itself crashes now and then ("failed to get edge") when two build the same layers at once.
    """
    with (Path(gettempdir()) / "ragline-docker-build.lock").open("w") as lock:
        flock(lock, LOCK_EX)
        docker("buildx", "build", "--load", *arguments, timeout_s=900)


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
