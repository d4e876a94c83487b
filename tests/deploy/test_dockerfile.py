"""The Dockerfile of pipelines and what a build may see, read without an engine."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines import __version__

ROOT = Path(__file__).parents[2]
GIT = shutil.which("git") or "git"
TEXT = (ROOT / "pipelines/Dockerfile").read_text(encoding="utf-8")
INSTRUCTIONS = [
    " ".join(line.split()) for line in re.sub(r"^#.*\n", "", TEXT, flags=re.MULTILINE).replace("\\\n", " ").splitlines()
]
IGNORED = [
    line for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines() if not line.startswith("#")
]


def of_kind(kind: str) -> list[str]:
    return [line.removeprefix(f"{kind} ") for line in INSTRUCTIONS if line.startswith(f"{kind} ")]


def copied() -> Iterator[str]:
    """What the build copies from the checkout."""
    for line in of_kind("COPY"):
        if not line.startswith("--from="):
            yield from line.split()[:-1]


def let_through(path: str) -> bool:
    """Whether .dockerignore lets a file into the build: the last pattern that matches decides."""
    seen = True
    for pattern in IGNORED:
        if any(as_expression(pattern.removeprefix("!")).fullmatch(part) for part in parents(path)):
            seen = pattern.startswith("!")
    return seen


def parents(path: str) -> list[str]:
    """A pattern that matches a folder matches all in it."""
    parts = path.split("/")
    return ["/".join(parts[: length + 1]) for length in range(len(parts))]


def as_expression(pattern: str) -> re.Pattern[str]:
    escaped = re.escape(pattern).replace(r"\*\*/", "(?:.*/)?").replace(r"\*\*", ".*").replace(r"\*", "[^/]*")
    return re.compile(escaped)


def tracked() -> list[str]:
    listed = subprocess.run([GIT, "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return listed.splitlines()


def test_everything_that_is_copied_is_there_and_let_through() -> None:
    for source in copied():
        path = ROOT / source
        files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]

        assert any(let_through(file.relative_to(ROOT).as_posix()) for file in files), source


def test_the_build_sees_the_package_the_locks_the_workflows_and_nothing_else() -> None:
    seen = {path for path in tracked() if let_through(path)}
    others = {path for path in seen if not re.match(r"(pipelines/.*\.(py|json|sql)|requirements/.*\.txt)$", path)}

    workflows = {path for path in tracked() if re.match(r"workflows/(?!package).*\.json", path)}
    assert others == {"README.md", "pyproject.toml", "compose/certificates/README.md", *workflows}
    assert {path for path in tracked() if path.startswith("pipelines/")} - seen == {"pipelines/Dockerfile"}


@pytest.mark.parametrize(
    "path",
    [".env", ".git/config", ".ragline/secrets/n8n-api-key", "pipelines/.env", "compose/n8n.env", "compose/tls/key.pem"],
)
def test_no_secret_goes_into_a_build(path: str) -> None:
    assert not let_through(path)


def test_certificates_go_into_a_build_and_never_into_git() -> None:
    assert let_through("compose/certificates/company.crt")
    assert subprocess.run([GIT, "check-ignore", "-q", "compose/certificates/company.crt"], cwd=ROOT).returncode == 0


def test_the_base_image_is_one_version_and_its_digest_and_can_be_another() -> None:
    (base,) = [line for line in of_kind("ARG") if line.startswith("PYTHON_IMAGE=")]
    stages = {line.rpartition(" AS ")[2] for line in of_kind("FROM") if " AS " in line}

    assert re.fullmatch(r"PYTHON_IMAGE=python:3\.12\.\d+-slim-\w+@sha256:[0-9a-f]{64}", base)
    for line in of_kind("FROM"):
        source = line.removeprefix("--platform=$BUILDPLATFORM ").partition(" AS ")[0]
        assert source == "${PYTHON_IMAGE}" or source in stages


def test_no_build_argument_and_no_variable_is_a_secret() -> None:
    assert {line.partition("=")[0] for line in of_kind("ARG")} == {"PYTHON_IMAGE", "TARGETARCH", "VERSION", "REVISION"}
    assert not re.search(r"KEY|SECRET|PASSWORD|TOKEN", " ".join(of_kind("ENV")))


def test_docker_20_10_can_build_it_without_fetching_a_frontend() -> None:
    assert not re.search(r"^#\s*(syntax|escape|check)\s*=", TEXT, re.MULTILINE)
    assert "<<" not in TEXT
    assert not re.search(r"^(COPY|ADD) .*--(link|chmod|parents|exclude)", TEXT, re.MULTILINE)
    assert of_kind("ADD") == []


def test_whatever_is_installed_is_locked() -> None:
    commands = [part for line in of_kind("RUN") for part in re.split(r"&&|\|\||\{ ", line) if "pip" in part.split()]
    installs = [command for command in commands if " install " in command]

    assert len(installs) >= 6
    for command in installs:
        assert "--no-deps" in command
        assert "--require-hashes" in command or "--offline" in command


def test_the_export_is_given_every_module_that_it_imports() -> None:
    given = {path.removesuffix(".py").replace("/", ".").removesuffix(".__init__") for path in model_modules()}

    for path in model_modules():
        for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("pipelines"):
                names = {f"{node.module}.{alias.name}" for alias in node.names}
                assert node.module in given, path
                assert names & given or node.module != "pipelines.providers", path


def model_modules() -> list[str]:
    """The modules that are copied before the model is exported."""
    stage = TEXT[TEXT.index(" AS model") :].split("\nFROM ")[0]
    return re.findall(r"pipelines/\S+\.py", "\n".join(line for line in stage.splitlines() if not line.startswith("#")))


def test_image_and_compose_name_the_version_of_the_package() -> None:
    assert f"VERSION={__version__}" in of_kind("ARG")
    assert f"ragline/pipelines:{__version__}}}" in (ROOT / "docker-compose.yml").read_text(encoding="utf-8")


def test_an_image_for_both_platforms_needs_a_registry_to_go_to() -> None:
    command = [shutil.which("make") or "make", "--no-print-directory", "image", "PLATFORMS=linux/amd64,linux/arm64"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)

    assert done.returncode != 0
    assert done.stdout.startswith("An image for several platforms goes into a registry: add PUSH=1")
