"""The images that stand in for the vendors', built where they are missing; compose's variables come out.

Each folder of `images/` is one stand-in; its Dockerfile says what it proves and what it cannot. Its tag is a digest of
the folder, so that a changed stand-in is built again.
"""

from __future__ import annotations

import sys
from hashlib import sha256
from pathlib import Path

from pipelines.errors import SetupFailed
from pipelines.native.n8n import node_folder
from tests.compose.base_image import ensure_base_image
from tests.compose.docker import CHECKOUT, INSTALLED, build, has_image

IMAGES = Path(__file__).with_name("images")

MOUNTS = Path(__file__).with_name("stand-ins.yml")
"""What docker-compose.yml is given beside the variables."""


def ensure_stand_ins() -> dict[str, str]:
    """Build what is missing; the variables that name the images, and those of `stand-ins.yml`, come back.

    Raises:
        SetupFailed: a part of the native run is not installed, or an image could not be built.
    """
    ensure_base_image()
    images = {f"{folder.name.upper()}_IMAGE": _ensure(folder) for folder in sorted(IMAGES.iterdir())}
    return images | _mounted()


def _ensure(folder: Path) -> str:
    tag = f"ragline-stand-in/{folder.name.replace('_', '-')}:{_digest(folder)}"
    if not has_image(tag):
        build("--quiet", "--tag", tag, str(folder))
    return tag


def _digest(folder: Path) -> str:
    content = sha256()
    for file in sorted(folder.iterdir()):
        content.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return content.hexdigest()[:12]


def _mounted() -> dict[str, str]:
    for part in ("n8n", "open-webui"):
        if not (INSTALLED / part).is_dir():
            raise SetupFailed(
                f"The stand-in for {part} mounts the real one, which is not installed: run `make up` once."
            )
    return {
        "STAND_IN_INTERPRETER": _interpreter(),
        "STAND_IN_ENVIRONMENTS": str(INSTALLED),
        "STAND_IN_CHECKOUT": str(CHECKOUT),
        "STAND_IN_NODE": str(node_folder()),
    }


def _interpreter() -> str:
    """The folder of the Python that the environments are made with: they name it by its path."""
    if sys.base_prefix != "/usr":
        return sys.base_prefix
    if sys.version_info[:2] != (3, 11):
        raise SetupFailed("The stand-ins run Debian 12's Python 3.11, or one that lies in a folder of its own.")
    # It is in the base image too. What is mounted over its own like must exist, and must not matter.
    return "/usr/share/python3"
