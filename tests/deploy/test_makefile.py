"""The commands people type: what they list, and what they say when they cannot work."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MAKE = shutil.which("make") or "make"
VERBS = ("env", "up", "down", "status", "logs", "demo", "test", "lint", "bench", "lock", "clean")
WROTE = "Wrote the settings and fresh secrets to .env"


def make(*arguments: str, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run([MAKE, "--no-print-directory", *arguments], cwd=folder, capture_output=True, text=True)


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """As much of a fresh clone as is needed until something would be installed, with a state folder of its own."""
    monkeypatch.setenv("STATE_DIR", str(tmp_path / "state"))
    folder = tmp_path / "checkout"
    shutil.copytree(ROOT / "requirements", folder / "requirements")
    shutil.copytree(ROOT / "compose", folder / "compose")
    for name in ("Makefile", ".env.example", "pyproject.toml"):
        shutil.copy(ROOT / name, folder)
    return folder


def test_help_lists_every_verb() -> None:
    listed = make().stdout

    for verb in VERBS:
        assert f"make {verb} " in listed


def test_a_python_that_is_none_is_one_sentence(checkout: Path) -> None:
    make("env", folder=checkout)

    done = make("up", "PYTHON=/bin/false", folder=checkout)

    assert done.returncode != 0
    assert done.stdout.strip() == (
        "/bin/false is not Python 3.11 or 3.12: name one that is, as in make up PYTHON=/path/to/python3.12"
    )


def test_no_python_at_all_is_one_sentence(checkout: Path) -> None:
    make("env", folder=checkout)

    done = make("up", "PYTHON=", folder=checkout)

    assert done.returncode != 0
    assert done.stdout.startswith("Ragline needs Python 3.11 or 3.12: install one")


@pytest.mark.parametrize("verb", ["up", "demo", "env"])
def test_the_settings_are_written_first_and_once(checkout: Path, verb: str) -> None:
    assert make(verb, "PYTHON=/bin/false", folder=checkout).stdout.splitlines()[0] == WROTE
    written = (checkout / ".env").read_bytes()

    assert WROTE not in make(verb, "PYTHON=/bin/false", folder=checkout).stdout
    assert (checkout / ".env").read_bytes() == written


def test_a_placeholder_ends_it_before_anything_is_installed(checkout: Path) -> None:
    (checkout / ".env").write_text("IDENTITY_SECRET=change-me\n")

    done = make("up", "PYTHON=/bin/false", folder=checkout)

    assert done.returncode != 0
    assert "IDENTITY_SECRET" in done.stderr
    assert "Python" not in done.stdout


def test_down_and_status_install_nothing(tmp_path: Path) -> None:
    for verb in ("down", "status", "logs"):
        done = make(verb, f"STATE_DIR={tmp_path / 'state'}")

        assert done.returncode == 0
        assert done.stdout == "Nothing is installed here yet, so nothing is running.\n"
    assert not (tmp_path / "state").exists()
