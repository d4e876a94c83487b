"""Installs torch, only ever as its CPU build: the build for Linux on PyPI brings gigabytes of CUDA with it."""

from __future__ import annotations

import sys
from pathlib import Path

from pipelines.errors import SetupFailed
from pipelines.native.command import run_logged
from pipelines.native.layout import Layout

VERSION = "2.13.0"
IS_CPU_BUILD = "import sys, torch; sys.exit(torch.version.cuda is not None)"


def install_torch(layout: Layout, log: Path) -> None:
    """Put the CPU build of torch into the environment of pipelines. What it depends on is in the locked file.

    First from where this machine's pip is told to look (a folder of wheels, a company's index), checked by its hash;
    the label `+cpu` matches nothing on PyPI itself. Else uv fetches it from the index of CPU builds, which it knows.

    Raises:
        SetupFailed: neither has it, or what came is a CUDA build all the same.
    """
    try:
        run_logged(_from_pip(layout), log, what="torch")
    except SetupFailed:
        run_logged(_from_uv(layout), log, what="torch (as its CPU build)")
    try:
        run_logged((sys.executable, "-c", IS_CPU_BUILD), log, what="torch")
    except SetupFailed as error:
        raise SetupFailed(
            f"The torch that was installed is broken or not a CPU build (see {log}): "
            "remove the folder env of the state folder and run it again."
        ) from error


def _from_pip(layout: Layout) -> tuple[str, ...]:
    return (
        str(layout.uv.with_name("python")),
        *("-m", "pip", "--python", sys.executable, "install", "--quiet", "--no-deps", "--only-binary", ":all:"),
        *("--require-hashes", "-r", str(layout.checkout / "requirements/torch.txt")),
    )


def _from_uv(layout: Layout) -> tuple[str, ...]:
    return (
        str(layout.uv),
        *("pip", "install", "--quiet", "--python", sys.executable, "--no-deps"),
        *("--torch-backend", "cpu", f"torch=={VERSION}"),
    )
