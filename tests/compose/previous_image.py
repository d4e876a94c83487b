"""An image of pipelines as an earlier release may have been: this one with another version and older workflows.

No earlier release can be had where no registry is reached, so one is made that differs in what an upgrade changes.
"""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.compose.docker import CHECKOUT, build

VERSION = "0.0.9"
WORDS = "## As an earlier release had it"

_DOCKERFILE = f"""\
FROM {{current}}
USER root
RUN cd "$(dirname "$(python -c 'import pipelines; print(pipelines.__file__)')")" \\
    && sed -i 's/^__version__ = .*/__version__ = "{VERSION}"/' __init__.py && rm -f __pycache__/__init__.*
COPY workflows/ /opt/ragline/workflows/
USER 10001:10001
LABEL org.opencontainers.image.version="{VERSION}"
"""


def build_previous_image(tag: str, *, current: str) -> None:
    """Build the earlier one from the `current` one; raises SetupFailed."""
    with TemporaryDirectory(prefix="ragline-previous-") as name:
        folder = Path(name)
        (folder / "workflows").mkdir()
        for file in (CHECKOUT / "workflows").glob("*.json"):
            if not file.name.startswith("package"):
                (folder / "workflows" / file.name).write_text(
                    json.dumps(_older(json.loads(file.read_text())), indent=2)
                )
        (folder / "Dockerfile").write_text(_DOCKERFILE.format(current=current))
        build("--quiet", "--tag", tag, str(folder))


def _older(workflow: dict[str, Any]) -> dict[str, Any]:
    """Other words on its first note, and without the options of the nodes that call pipelines."""
    workflow["nodes"][0]["parameters"]["content"] = WORDS
    for node in workflow["nodes"]:
        if node["type"] == "n8n-nodes-base.httpRequest":
            node["parameters"]["options"] = {}
    return workflow
