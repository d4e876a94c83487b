"""What the workers of the Ray cluster of a test open; imported there, too."""

from __future__ import annotations

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pipelines.ingest.engine_ray import CollectedChunks, Preparer
from pipelines.ingest.isolate import Isolation
from pipelines.ingest.run import IngestPath
from pipelines.providers.sentence_transformers import load_embedding
from pipelines.stores.base import SourceEntry
from pipelines.stores.folder import FolderSource
from pipelines.stores.generations import Generation

KILLS_ONCE, BREAKS = "kills-once.md", "breaks.md"


def open_with_model(spool: Path, models_dir: Path) -> Preparer:
    """The stages with the model that is carried by a package, prepared in `models_dir`.

    A document named `KILLS_ONCE` kills the process at its first try; one named `BREAKS` finds a mistake of ours.
    """
    path = IngestPath(
        isolation=Isolation(workers=1, memory_mb=1024, timeout_s=60),
        vision=None,
        threads=ThreadPoolExecutor(2),
        thread_count=2,
        spool=spool,
        max_bytes=10**7,
    )
    generation = Generation("", CollectedChunks(), load_embedding("all-MiniLM-L6-v2", "onnx", models_dir), "")
    return Preparer(path, lambda url: _Troubled(Path(url.removeprefix("file://")), spool / "killed"), generation)


class _Troubled(FolderSource):
    def __init__(self, folder: Path, mark: Path) -> None:
        super().__init__(folder)
        self._mark = mark

    def find(self, origin: str) -> SourceEntry | None:
        if origin.endswith(KILLS_ONCE) and not self._mark.exists():
            self._mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if origin.endswith(BREAKS):
            raise ZeroDivisionError
        return super().find(origin)
