"""What is installed is locked by hash, from no address in particular, and brings no CUDA."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
TORCH = ROOT / "requirements/torch.txt"
LOCKED = sorted((ROOT / "requirements").glob("*.txt"))
ADDRESS = re.compile(r"\w+://|--(?:extra-)?index-url|--find-links|^-[if] ", re.MULTILINE)


def requirement_lines(path: Path) -> list[str]:
    """The requirements of a file, each with its hashes on one line."""
    text = re.sub(r"^\s*#.*\n", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE).replace("\\\n", " ")
    return [line for line in text.splitlines() if line.strip()]


def test_there_is_a_lock_for_each_environment() -> None:
    environments = "build dev export image litellm native open-webui torch uv"

    assert " ".join(path.stem for path in LOCKED) == environments


@pytest.mark.parametrize("path", LOCKED, ids=lambda path: path.stem)
def test_every_requirement_has_one_version_and_its_hashes(path: Path) -> None:
    for line in requirement_lines(path):
        assert re.match(r"^[a-z0-9][a-z0-9._-]*==\S+ ", line), line
        assert "--hash=sha256:" in line, line


@pytest.mark.parametrize("path", LOCKED, ids=lambda path: path.stem)
def test_no_requirement_file_names_an_address(path: Path) -> None:
    assert not ADDRESS.search(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", [path for path in LOCKED if path != TORCH], ids=lambda path: path.stem)
def test_torch_and_cuda_stay_out_of_the_locks(path: Path) -> None:
    unwanted = re.compile(r"^(torch|nvidia-|cuda-|triton|pytorch-triton)")

    assert [line for line in requirement_lines(path) if unwanted.match(line)] == []


def test_torch_can_only_be_its_cpu_build() -> None:
    (line,) = requirement_lines(TORCH)

    assert re.match(r"^torch==\S+\+cpu ", line)


def test_the_native_run_and_the_image_get_the_versions_that_the_tests_ran_with() -> None:
    # A marker may be wider there: Ray wants on every system what others want on some.
    tested = {(without_marker(name), version) for name, version in versions(ROOT / "requirements/dev.txt").items()}

    for file in ("native", "image", "export"):
        wanted = versions(ROOT / f"requirements/{file}.txt").items()
        assert {(without_marker(name), version) for name, version in wanted} <= tested


def test_the_locks_hold_what_pyproject_pins() -> None:
    project: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [
        *project["dependencies"],
        *(line for extra in project["optional-dependencies"].values() for line in extra),
    ]
    locked = {line.split("==")[0] for line in requirement_lines(ROOT / "requirements/dev.txt")}

    assert {re.split(r"[\[<>=~ ]", line)[0].lower() for line in wanted} <= locked


def test_the_n8n_lock_names_hashes_and_no_address() -> None:
    lock: dict[str, Any] = json.loads((ROOT / "workflows/package-lock.json").read_text())
    packages = {path: package for path, package in lock["packages"].items() if path}

    assert [path for path, package in packages.items() if "resolved" in package] == []
    assert [path for path, package in packages.items() if not package["integrity"].startswith("sha512-")] == []


def test_the_n8n_lock_has_a_package_for_each_name_it_asks_for() -> None:
    """npm leaves out an optional package that its registry lacked while locking, and `npm ci` then refuses the lock."""
    packages: dict[str, Any] = json.loads((ROOT / "workflows/package-lock.json").read_text())["packages"]
    present = {path.rpartition("node_modules/")[2] for path in packages}

    for path, package in packages.items():
        asked = {*package.get("dependencies", {}), *package.get("optionalDependencies", {})}
        assert asked <= present, path


def test_the_n8n_version_is_pinned_exactly() -> None:
    package = json.loads((ROOT / "workflows/package.json").read_text())
    lock = json.loads((ROOT / "workflows/package-lock.json").read_text())["packages"]

    assert re.fullmatch(r"\d+\.\d+\.\d+", package["dependencies"]["n8n"])
    assert lock[""]["dependencies"] == package["dependencies"]
    assert lock["node_modules/n8n"]["version"] == package["dependencies"]["n8n"]


def versions(path: Path) -> dict[str, str]:
    """Each requirement with its marker, and its version."""
    return {
        re.sub(r"==\S+", "", line.split(" --hash")[0]).strip(): line.split("==")[1].split()[0]
        for line in requirement_lines(path)
    }


def without_marker(requirement: str) -> str:
    return requirement.partition(";")[0].strip()
