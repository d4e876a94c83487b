"""The compose files as Docker Compose itself reads them: overlays in, the whole configuration out."""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from tests.compose.binaries import Compose, compose_versions
from tests.compose.docker import environment

ROOT = Path(__file__).parents[2]
README = ROOT / "compose/README.md"

ALONE = tuple(re.findall(r"^\| `([a-z]+)\.yml` \|", README.read_text("utf-8"), re.MULTILINE))
"""The overlays, in the order in which they are to be named."""

TOGETHER = tuple(
    tuple(line.split(" + "))
    for line in re.findall(r"^- `([a-z]+(?: \+ [a-z]+)+)`$", README.read_text("utf-8"), re.MULTILINE)
)

COMBINATIONS: tuple[tuple[str, ...], ...] = ((), *((name,) for name in ALONE), *TOGETHER)
"""Every one that compose/README.md names."""

SECRETS = {
    name: f"the-value-of-{name.lower().replace('_', '-')}"
    for name in re.findall(r"^([A-Z0-9_]+)=change-me$", (ROOT / ".env.example").read_text("utf-8"), re.MULTILINE)
    if name != "DEFAULT_ACCESS"
}

FOR_TLS = {
    "SITE_ADDRESS": "chat.example.org",
    "N8N_SITE_ADDRESS": "n8n.example.org",
    "EDITOR_USER": "editor",
    "EDITOR_PASSWORD_HASH": "'$2a$14$notahashofanythingatall'",
}

DOTENV = {**SECRETS, "DEFAULT_ACCESS": "everyone", **FOR_TLS}


def config(overlays: tuple[str, ...], compose: Compose | None = None) -> dict[str, Any]:
    """What `docker compose config` says, by the newest version unless another is named; a warning fails too."""
    return _rendered(overlays, compose or compose_versions()[-1])


def services(overlays: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """The services of a combination, by name."""
    found: dict[str, dict[str, Any]] = config(overlays)["services"]
    return found


def run_config(
    overlays: tuple[str, ...], compose: Compose, dotenv: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Start `docker compose config` with these lines as `.env`, and return how it ended."""
    files = [ROOT / "docker-compose.yml", *(ROOT / f"compose/{name}.yml" for name in overlays)]
    lines = (f"{name}={value}\n" for name, value in (DOTENV if dotenv is None else dotenv).items())
    with tempfile.NamedTemporaryFile("w", suffix=".env") as written:
        written.writelines(lines)
        written.flush()
        options = ["--env-file", written.name, *(part for file in files for part in ("--file", str(file)))]
        return subprocess.run(
            [*compose.command, *options, "config", "--format", "json"],
            env=environment(),
            capture_output=True,
            text=True,
            timeout=60,
        )


@cache
def _rendered(overlays: tuple[str, ...], compose: Compose) -> dict[str, Any]:
    done = run_config(overlays, compose)
    assert done.returncode == 0, done.stderr
    assert done.stderr == "", "a warning is a mistake in the files"
    rendered: dict[str, Any] = json.loads(done.stdout)
    return rendered
