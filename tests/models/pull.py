"""The models that a server has and could fetch, and `/api/pull`: Ollama's lines while it fetches one, and its errors.

Every name that spells a model (`script.py`, `embeddings.py`) can be fetched, and no other.
"""

from __future__ import annotations

import asyncio
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import orjson
from aiohttp import web

from tests.models.embeddings import embedding_size
from tests.models.script import LISTED, read_script

UNKNOWN = "pull model manifest: file does not exist"
OFFLINE = (
    'pull model manifest: Get "https://registry.ollama.ai/v2/library/{model}/manifests/latest": '
    "dial tcp: lookup registry.ollama.ai on 127.0.0.11:53: no such host"
)
FULL = "write /root/.ollama/models/blobs/sha256-{digest}-partial-0: no space left on device"
BROKEN = (
    'max retries exceeded: Get "https://example.r2.cloudflarestorage.com/ollama/docker/registry/v2/blobs/sha256/'
    '{digest}/data?X-Amz-Signature=0": unexpected EOF'
)
TOO_OLD = "pull model manifest: 412: \n\nThe model you are attempting to pull requires a newer version of Ollama."

Fault = Literal["offline", "full", "cut", "broken", "old"]
"""`cut` breaks the connection half way, `broken` is what Ollama says when its own was."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/?\[\]-]*")
_BEFORE: frozenset[Fault] = frozenset({"offline", "old"})


@dataclass(slots=True)
class Library:
    """What is installed and what comes of fetching more. An `empty` one has nothing that was not fetched."""

    empty: bool = False
    file: Path | None = None
    """Where the names of what was fetched are kept, as Ollama keeps its models."""
    fault: Fault | None = None
    faults: int = 1_000_000
    """How often, before all goes well."""
    size: int = 1_321_098_329
    steps: int = 8
    step_s: float = 0.0
    pulls: int = 0
    begun: dict[str, int] = field(default_factory=dict)
    """How many bytes there are of what was broken off."""
    _fetched: list[str] = field(default_factory=list)

    def installed(self) -> Sequence[str]:
        """Every model as `/api/tags` names it."""
        kept = self.file.read_text().split() if self.file and self.file.exists() else self._fetched
        return tuple(dict.fromkeys((*(() if self.empty else LISTED), *kept)))

    def has(self, model: str) -> bool:
        """Whether a model can be asked."""
        return not self.empty or _full_name(model) in self.installed()

    def add(self, model: str) -> None:
        """It has been fetched."""
        self._fetched = [*self._fetched, _full_name(model)]
        if self.file:
            self.file.write_text("\n".join(dict.fromkeys((*self.installed(), _full_name(model)))))

    def next_fault(self) -> Fault | None:
        """What goes wrong this time."""
        self.pulls += 1
        if self.fault is None or self.faults == 0:
            return None
        self.faults -= 1
        return self.fault


async def pulled(request: web.Request, library: Library, model: str, *, streamed: bool) -> web.StreamResponse:
    """Fetch a model, or fail to, and say how far it is."""
    if not _NAME.fullmatch(model):
        return web.json_response({"error": "invalid model name"}, status=400)
    fault = library.next_fault()
    digest = f"{zlib.crc32(model.encode()):08x}" * 8
    lines = _lines(library, model, digest, fault)
    if not streamed:
        if "error" not in lines[-1]:
            library.add(model)
        return web.json_response(lines[-1], status=500 if "error" in lines[-1] else 200)
    response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
    await response.prepare(request)
    for line in lines:
        await asyncio.sleep(library.step_s)
        if "completed" in line:
            library.begun[model] = line["completed"]
        await response.write(orjson.dumps(line) + b"\n")
    if fault == "cut":
        await asyncio.sleep(0.05)  # what was sent must not be lost with the connection
        if request.transport is not None:
            request.transport.abort()
        return response
    if lines[-1].get("status") == "success":
        library.add(model)
    await response.write_eof()
    return response


def _lines(library: Library, model: str, digest: str, fault: Fault | None) -> list[dict[str, Any]]:
    lines: list[dict[str, Any]] = [{"status": "pulling manifest"}]
    if fault in _BEFORE:
        said = OFFLINE.format(model=model) if fault == "offline" else TOO_OLD
        return [*lines, {"error": said}]
    if read_script(model) is None and not embedding_size(model):
        return [*lines, {"error": UNKNOWN}]
    layer = {"status": f"pulling {digest[:12]}", "digest": f"sha256:{digest}", "total": library.size}
    begun = library.begun.get(model, 0)
    lines.append(layer | ({"completed": begun} if begun else {}))  # Ollama leaves out a zero
    end = begun + (library.size - begun) // 2 if fault else library.size
    for step in range(1, library.steps + 1):
        lines.append(layer | {"completed": begun + (end - begun) * step // library.steps})
    if fault == "cut":
        return lines
    if fault:
        return [*lines, {"error": (FULL if fault == "full" else BROKEN).format(digest=digest)}]
    return [*lines, {"status": "verifying sha256 digest"}, {"status": "writing manifest"}, {"status": "success"}]


def _full_name(model: str) -> str:
    return model if ":" in model else f"{model}:latest"
