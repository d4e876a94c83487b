"""The commands people type: what they list, and what they say when they cannot work."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
MAKE = shutil.which("make") or "make"
VERBS = ("up", "down", "status", "logs", "demo", "test", "lint", "bench", "lock", "clean")


def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([MAKE, "--no-print-directory", *arguments], cwd=ROOT, capture_output=True, text=True)


def test_help_lists_every_verb() -> None:
    listed = make().stdout

    for verb in VERBS:
        assert f"make {verb} " in listed


def test_a_python_that_is_none_is_one_sentence(tmp_path: Path) -> None:
    done = make("up", "PYTHON=/bin/false", f"STATE_DIR={tmp_path}")

    assert done.returncode != 0
    assert done.stdout.strip() == (
        "/bin/false is not Python 3.11 or 3.12: name one that is, as in make up PYTHON=/path/to/python3.12"
    )


def test_no_python_at_all_is_one_sentence(tmp_path: Path) -> None:
    done = make("up", "PYTHON=", f"STATE_DIR={tmp_path}")

    assert done.returncode != 0
    assert done.stdout.startswith("Ragline needs Python 3.11 or 3.12: install one")


def test_down_and_status_install_nothing(tmp_path: Path) -> None:
    for verb in ("down", "status", "logs"):
        done = make(verb, f"STATE_DIR={tmp_path / 'state'}")

        assert done.returncode == 0
        assert done.stdout == "Nothing is installed here yet, so nothing is running.\n"
    assert not (tmp_path / "state").exists()
