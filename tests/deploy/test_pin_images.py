"""`make pin-images`: what registries say of each version is written into the files."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_pinning_writes_the_digest_of_a_version_and_nothing_else(tmp_path: Path) -> None:
    checkout, fresh = _checkout_to_pin(tmp_path), f"sha256:{'7' * 64}"
    before = (checkout / "docker-compose.yml").read_text("utf-8")

    asked = _pin(checkout, "--check")
    pinned = _pin(checkout)

    assert (asked.returncode, pinned.returncode) == (1, 0)
    assert asked.stdout == f"docker.io/example/store:1.2 is {fresh}\n"
    assert (checkout / "docker-compose.yml").read_text("utf-8") == before.replace(":1.2}", f":1.2@{fresh}}}")
    assert _pin(checkout, "--check").stdout == "Every image is what its version says.\n"


def _checkout_to_pin(folder: Path) -> Path:
    """A checkout of two images, and a `docker` that knows one digest."""
    (folder / "compose").mkdir()
    (folder / "pipelines").mkdir()
    (folder / "bin").mkdir()
    script = ROOT / "compose/pin-images.sh"
    (folder / "compose/pin-images.sh").write_text(script.read_text("utf-8"), "utf-8")
    (folder / "docker-compose.yml").write_text(
        "image: ${STORE_IMAGE:-docker.io/example/store:1.2}\nimage: ${PIPELINES_IMAGE:-ragline/pipelines:0.1.0}\n"
    )
    (folder / "compose/more.yml").write_text("")
    (folder / "pipelines/Dockerfile").write_text(f"ARG PYTHON_IMAGE=python:3.12@sha256:{'7' * 64}\n")
    docker = folder / "bin/docker"
    docker.write_text(
        'echo "$*" | grep -q -- --raw || { printf sha256:; printf "7%.0s" $(seq 64); echo; exit; }\n'
        'echo \'"architecture": "amd64", "architecture": "arm64"\'\n'
    )
    docker.write_text("#!/bin/sh\n" + docker.read_text())
    docker.chmod(0o755)
    return folder


def _pin(checkout: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["/bin/sh", str(checkout / "compose/pin-images.sh"), *arguments]
    path = f"{checkout / 'bin'}:{os.defpath}"
    return subprocess.run(command, env={"PATH": path}, capture_output=True, text=True, timeout=30)
