"""What the image holds and is built with can be had as wheels for both of its platforms. Asks the package index."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
UV = Path(sys.prefix).parent / "uv/bin/uv"


@pytest.mark.parametrize("lock", ["image", "build", "export"])
@pytest.mark.parametrize("python", ["3.11", "3.12"])
@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_every_locked_requirement_has_a_wheel(machine: str, python: str, lock: str, tmp_path: Path) -> None:
    for_the_platform = ("--python-platform", f"{machine}-manylinux_2_28", "--python-version", python)
    wheels_of_the_lock = ("--only-binary", ":all:", "--require-hashes", "--no-deps", "-r", f"requirements/{lock}.txt")

    done = subprocess.run(
        [UV, "pip", "install", "--dry-run", "--target", tmp_path, *for_the_platform, *wheels_of_the_lock],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert done.returncode == 0, done.stderr
    assert "Would install" in done.stderr
